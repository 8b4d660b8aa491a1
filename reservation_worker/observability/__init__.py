"""How others see the worker: log lines, metrics, traces."""
