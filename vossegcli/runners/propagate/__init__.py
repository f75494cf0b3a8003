"""Segment a video from given masks."""
