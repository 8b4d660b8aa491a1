"""Reconciles the end of a run with its published messages. Pure."""
