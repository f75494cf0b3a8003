"""Read pictures: images, frames, videos, sequences, queries."""
