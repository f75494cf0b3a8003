"""Read and write records: atomic files, locks, run records, tables, JSON."""
