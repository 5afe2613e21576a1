"""All SQL: tables, queries, journal, sealed keys. Its functions take a transaction first and never commit."""
