"""The command line, for operators: one small file per noun. Each command parses, calls one thing, and answers."""
