"""Tenure: time-boxed compute accounts that end where the compute is."""
