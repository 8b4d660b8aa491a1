"""The messages that are hidden while somebody looks at them, kept so by a thread of its own."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from reservation_worker.cli import operator_aws
from reservation_worker.cli.dlq.queues import BATCH, Queues, failures

HOLD = 300
"""How long a message stays hidden if this process dies, in seconds."""
_TICK = 10.0
_DELETE_PAUSES = (0.2, 1.0, 0.0)
"""After each try, in seconds."""


class Holds:
    """Local monotonic deadlines, each counted from before the call that set it: never too late.

    A hold that may have ended is not renewed and not given back: the message may be another's.
    """

    def __init__(
        self, queues: Queues, hold: int = HOLD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._queues = queues
        self._hold = hold
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}  # receipt and deadline by message id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="holds", daemon=True)

    def receive(self, wait: int) -> list[Any]:
        """Receive and hide at most ten messages. Raises OperationError."""
        began = self._clock()
        with operator_aws.asking(f"receive from {self._queues.dlq}"):
            answer = self._queues.once.receive_message(
                QueueUrl=self._queues.dlq,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=wait,
                VisibilityTimeout=self._hold,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
        messages = answer.get("Messages", [])
        with self._lock:
            for raw in messages:
                self._held[raw["MessageId"]] = (raw["ReceiptHandle"], began + self._hold)
        return messages

    def ids(self) -> set[str]:
        """All that are hidden."""
        with self._lock:
            return set(self._held)

    def safe(self, ids: Sequence[str], seconds: float) -> set[str]:
        """Which of them are ours for so long, renewed first where need be."""
        self._renew([one for one in ids if self._left(one) < seconds])
        return {one for one in ids if self._left(one) >= seconds}

    def renew(self) -> None:
        """Renew what is below half of its time."""
        with self._lock:
            ids = list(self._held)
        self._renew([one for one in ids if self._left(one) < self._hold / 2])

    def delete(self, ids: Iterable[str]) -> dict[str, str]:
        """Delete them, several times if need be; why not, for those that are still there."""
        left = dict.fromkeys(ids, "")
        for pause in _DELETE_PAUSES:
            for batch in _in_tens(list(left)):
                with self._lock:
                    receipts = [self._held[one][0] for one in batch]
                entries: Any = [
                    {"Id": str(at), "ReceiptHandle": receipt} for at, receipt in enumerate(receipts)
                ]
                try:
                    answer = self._queues.again.delete_message_batch(
                        QueueUrl=self._queues.dlq, Entries=entries
                    )
                except (ClientError, BotoCoreError, OSError) as error:
                    left |= dict.fromkeys(batch, str(error))
                    continue
                failed = failures(answer)
                left |= {batch[at]: why for at, why in failed.items()}
                self._forget([one for at, one in enumerate(batch) if at not in failed], left)
            if not left:
                break
            self._ended.wait(pause)
        return left

    def release(self, ids: Iterable[str] | None = None) -> None:
        """Make them, or all, visible again; says so on stderr where that fails."""
        with self._lock:
            chosen = list(self._held if ids is None else ids)
        missed = self._change([one for one in chosen if self._left(one) > 0], 0)
        self._forget(chosen)
        if missed:
            print(
                f"{missed} messages could not be made visible again: they come back by themselves"
                f" within {self._hold} s",
                file=sys.stderr,
            )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.release()

    def _keep_renewing(self) -> None:
        while not self._ended.wait(min(_TICK, self._hold / 8)):
            self.renew()

    def _renew(self, ids: list[str]) -> None:
        self._change([one for one in ids if self._left(one) > 0], self._hold)

    def _left(self, one: str) -> float:
        with self._lock:
            return self._held.get(one, ("", 0.0))[1] - self._clock()

    def _change(self, ids: list[str], seconds: int) -> int:
        """Hide them for so long from now; returns how many times that was refused."""
        missed = 0
        for batch in _in_tens(ids):
            began = self._clock()
            with self._lock:
                held = [(one, self._held[one][0]) for one in batch if one in self._held]
            entries: Any = [
                {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for at, (_, receipt) in enumerate(held)
            ]
            try:
                answer = self._queues.again.change_message_visibility_batch(
                    QueueUrl=self._queues.dlq, Entries=entries
                )
            except (ClientError, BotoCoreError, OSError):
                missed += len(held)  # their deadlines stand, and the next tick tries again
                continue
            failed = failures(answer)
            missed += len(failed)
            with self._lock:
                for at, (one, receipt) in enumerate(held):
                    # Deleted, or received again, in the meantime: then it is not this hold's.
                    if self._held.get(one, ("",))[0] == receipt:
                        until = began + seconds if at not in failed else float("-inf")
                        self._held[one] = (receipt, until)
        return missed

    def _forget(self, ids: list[str], left: dict[str, str] | None = None) -> None:
        with self._lock:
            for one in ids:
                self._held.pop(one, None)
                if left is not None:
                    left.pop(one, None)


def _in_tens(items: list[str]) -> list[list[str]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
