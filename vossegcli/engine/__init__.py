"""Where the items of a batch are done: in processes of this machine, or on a Ray cluster."""
