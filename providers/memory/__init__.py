"""A site in memory that keeps every rule of the protocol: for tests, rehearsals and the benchmark."""
