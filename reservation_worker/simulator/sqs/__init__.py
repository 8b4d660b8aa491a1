"""The SQS side of the simulated world: emulator and queues."""
