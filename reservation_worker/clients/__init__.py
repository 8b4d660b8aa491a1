"""The two neighbours: what they offer (ports) and how they are reached."""
