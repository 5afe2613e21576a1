"""Contracts with their prices, and bills."""
