"""What the notebooks of the course call, in layers: ``present`` → ``mesh`` → ``core``; ``embedded`` makes the lab itself."""
