"""After an end: files are fetched, everything is taken back, and what is left is looked for and shown."""
