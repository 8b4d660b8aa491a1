"""Checks the results of a run. Pure."""
