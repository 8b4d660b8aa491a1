"""The scenario of a demo or a test: seeded reservations and published messages. Pure."""
