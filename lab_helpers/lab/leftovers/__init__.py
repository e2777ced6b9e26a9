"""What is still there for a while when what it belongs to has gone."""
