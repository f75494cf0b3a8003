"""Segment the classes that a few annotated images show."""
