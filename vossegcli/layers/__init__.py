"""Network parts that two systems or more share."""
