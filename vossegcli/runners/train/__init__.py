"""Train a system on files."""
