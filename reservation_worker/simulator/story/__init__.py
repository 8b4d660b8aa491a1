"""The story that a demo or a test plays: what is seeded and what is published. Pure."""
