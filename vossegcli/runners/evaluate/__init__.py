"""Score predictions and write a report."""
