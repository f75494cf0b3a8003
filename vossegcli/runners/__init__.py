"""Jobs that join reading, systems, metrics, training and writing; plain functions that Python can call too."""
