"""Fixtures that every room's tests may ask for."""

pytest_plugins = ["tests.lab.fixtures"]
"""`lab`, `site` and `tenant`: a real site on this machine, brought up when first asked for."""
