"""The settlement rules: from an event and the neighbours' answers to an outcome."""
