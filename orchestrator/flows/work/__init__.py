"""Who does what is owed, and when: the sweep, its rounds, the flows that it begins."""
