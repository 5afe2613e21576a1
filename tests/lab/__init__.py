"""A real Linux site on this machine, in a network namespace of its own: `python -m tests.lab up|down|reboot|status`."""
