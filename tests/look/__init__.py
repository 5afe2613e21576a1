"""Pages and papers in a real browser, for people to look at."""
