"""Which actions AWS refuses for lack of rights, as the worker last saw it."""

from collections.abc import Iterator
from contextlib import contextmanager

from reservation_worker.errors import SqsError
from reservation_worker.sqs.batches import BatchFailure
from reservation_worker.sqs.credentials import denied


class Rights:
    """Remembers a refusal of an action until the same action is allowed. For all threads."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}

    def refused(self) -> dict[str, str]:
        """A sentence for each action that is refused; no answer of AWS is quoted in it."""
        return dict(self._refused)

    @contextmanager
    def noted(self, action: str, where: str) -> Iterator[dict[int, BatchFailure]]:
        """Note how the call within ends, and the failed entries that it adds to the dict."""
        failed: dict[int, BatchFailure] = {}
        try:
            yield failed
        except SqsError as error:
            if denied(error.code):
                self._note(action, where, error.code)
            raise
        code = next((one.code for one in failed.values() if denied(one.code)), None)
        if code is None:
            self._refused.pop(action, None)
        else:
            self._note(action, where, code)

    def _note(self, action: str, where: str, code: str) -> None:
        self._refused[action] = f"{code}: allow {action} on {where}"
