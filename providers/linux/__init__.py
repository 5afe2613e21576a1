"""A plain Linux container host over SSH."""
