"""List, verify, import and export checkpoints."""
