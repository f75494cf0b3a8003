"""Read the annotation files of other tools, each by what the file holds and not by its name."""
