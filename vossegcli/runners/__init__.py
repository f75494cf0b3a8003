"""Where reading, systems, metrics, training and writing meet; plain functions that Python can call too."""
