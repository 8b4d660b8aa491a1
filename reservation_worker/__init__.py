"""Settles ticket reservations from an SQS queue."""

__version__ = "0.1.0"
