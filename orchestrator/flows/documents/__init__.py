"""Offers, sites and programmes as operators write them in YAML, and applying them."""
