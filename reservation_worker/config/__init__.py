"""Settings: where they come from, what their texts must be, and which are secret."""
