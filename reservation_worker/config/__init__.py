"""Settings: their sources, their parsers, and their secrets."""
