"""The actions that AWS refuses for lack of rights."""

from collections.abc import Iterator
from contextlib import contextmanager

from reservation_worker.errors import SqsError
from reservation_worker.sqs.batches import BatchFailure
from reservation_worker.sqs.credentials import denied


class Rights:
    """Remembers the refusal of an action until the same action is allowed. Thread-safe."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}

    def refused(self) -> dict[str, str]:
        """A sentence for each refused action; it quotes no answer of AWS."""
        return dict(self._refused)

    @contextmanager
    def noted(self, action: str, where: str) -> Iterator[dict[int, BatchFailure]]:
        """Note a refusal: the error of the call within, or entries that it puts into the dict."""
        failed: dict[int, BatchFailure] = {}
        try:
            yield failed
        except SqsError as error:
            if denied(error.code):
                operation = getattr(error.__cause__, "operation_name", "")
                self._note(action, where, error.code, operation)
            raise
        code = next((one.code for one in failed.values() if denied(one.code)), None)
        if code is None:
            self._refused.pop(action, None)
        else:
            self._note(action, where, code)

    def _note(self, action: str, where: str, code: str, operation: str = "") -> None:
        needed = f"{action} on {where}"
        # The dead-letter queue may have to be found first.
        if operation.startswith("GetQueue"):
            needed = f"sqs:{operation} on both queues"
        elif code.lower().startswith("kms"):
            needed = f"kms:GenerateDataKey and kms:Decrypt on the key of {where}"
        self._refused[action] = f"{code}: allow {needed}"
