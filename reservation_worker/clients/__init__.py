"""The two neighbours: their ports, and the clients that reach them."""
