"""The parts of a system as child processes, for the demo and for tests."""
