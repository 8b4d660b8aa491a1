"""The worker's state for people: history, findings, the status page and its JSON."""
