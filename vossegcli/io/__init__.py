"""The only package that opens files: frames, videos, label maps and what is drawn from them."""
