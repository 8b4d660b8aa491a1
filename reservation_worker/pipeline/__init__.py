"""From a received message to a settled one; every thread is a class in a file of its own."""
