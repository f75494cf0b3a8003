"""vosseg: masks for folders of frames, images and videos, from the command line or from Python."""

__version__ = "0.2.0"
