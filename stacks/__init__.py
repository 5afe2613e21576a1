"""Pulumi: what an account consists of, and running it. One stack per account."""
