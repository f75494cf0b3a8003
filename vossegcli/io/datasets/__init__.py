"""Read annotations, supports and episode sets."""
