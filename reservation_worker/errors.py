"""Every error the worker raises on purpose."""


class WorkerError(Exception):
    """The root of the tree. Its text is written for a person."""


class ConfigurationError(WorkerError):
    """Wrong settings: exit code 2. `problems` holds one plain sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class OperationError(WorkerError):
    """A verb failed: exit code 1. The text names the problem, its place and the remedy."""


class InvalidEvent(WorkerError):
    """The message can never be understood: dead-lettered at once (docs/contract.md#events)."""


class PermanentError(WorkerError):
    """A neighbour refused this message for good."""


class TransientError(WorkerError):
    """A failure that may pass: the message is given back, and the breaker counts it.

    `retry_after` is the neighbour's Retry-After in seconds.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        # The neighbour that failed, None if the error did not come from a call.
        self.neighbour: str | None = None


class BreakerOpen(WorkerError):
    """The call was not made. `retry_after` is the rest of the open time in seconds."""

    def __init__(self, neighbour: str, retry_after: float) -> None:
        super().__init__(f"the breaker of {neighbour} is open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class LeaseTooShort(WorkerError):
    """The lease is shorter than a call may take: the message is given back."""


class LeaseLost(WorkerError):
    """The message may be visible to others: no call may start for it any more."""


class NotNow(WorkerError):
    """The request can't be served at this moment; the text gives the reason."""


class SqsError(WorkerError):
    """A call of SQS failed. `code` is SQS's error code or the name of the client's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
