"""Pure functions and values: no cluster, no network, no files written."""
