"""Find instances in images."""
