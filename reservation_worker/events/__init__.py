"""From the body of a message to one frozen event."""
