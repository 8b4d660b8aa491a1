"""What the worker serves to those who watch it."""
