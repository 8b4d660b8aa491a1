"""The SQS side of the simulated world: emulator, queues, fault-injecting proxy."""
