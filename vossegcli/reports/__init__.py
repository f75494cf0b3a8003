"""Records to rows, tables and HTML."""
