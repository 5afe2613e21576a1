"""How things stand, for whoever watches."""
