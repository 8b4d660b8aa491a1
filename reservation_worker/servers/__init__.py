"""The HTTP server and the gRPC debug server."""
