"""The command line: one thin file a command over the plain functions in `runners`."""
