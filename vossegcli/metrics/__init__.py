"""Measures of masks: arrays in, numbers out; no files, no models."""
