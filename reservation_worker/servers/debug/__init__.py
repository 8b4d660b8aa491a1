"""The gRPC debug server."""
