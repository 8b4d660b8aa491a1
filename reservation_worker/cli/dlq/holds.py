"""The messages that are hidden while somebody looks at them, kept so by a thread of its own."""

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from reservation_worker.cli import operator_aws
from reservation_worker.cli.dlq.queues import Queues
from reservation_worker.cli.dlq.text import plural
from reservation_worker.clock import awake
from reservation_worker.sqs.batches import BATCH, failures

HOLD = 300
"""How long a message stays hidden if this process dies, in seconds."""
_TICK = 10.0
_DELETE_PAUSES = (0.2, 1.0, 0.0)
"""After each try, in seconds."""


class Holds:
    """Local deadlines, each counted from before the call that set it: never too late.

    A hold that may have ended is not renewed and not given back: the message may be another's.
    """

    def __init__(
        self, queues: Queues, hold: int = HOLD, clock: Callable[[], float] = awake
    ) -> None:
        self._queues = queues
        self._hold = hold
        self._clock = clock
        self._lock = threading.Lock()
        self._changing = threading.Lock()
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
        self._change([one for one in ids if self._left(one) < seconds], self._hold)
        return {one for one in ids if self._left(one) >= seconds}

    def renew(self) -> None:
        """Renew what is below half of its time."""
        with self._lock:
            ids = list(self._held)
        self._change([one for one in ids if self._left(one) < self._hold / 2], self._hold)

    def delete(self, chosen: Iterable[str]) -> dict[str, str]:
        """Delete them, several times if need be; why not, for those that are still there."""
        left = dict.fromkeys(chosen, "")
        for pause in _DELETE_PAUSES:
            ids = list(left)
            for start in range(0, len(ids), BATCH):
                batch = ids[start : start + BATCH]
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
                left |= {batch[at]: str(failure) for at, failure in failed.items()}
                self._forget([one for at, one in enumerate(batch) if at not in failed], left)
            if not left:
                break
            self._ended.wait(pause)
        return left

    def release(self, ids: Iterable[str] | None = None) -> None:
        """Make them, or all, visible again; says so on stderr where that fails."""
        with self._lock:
            chosen = list(self._held if ids is None else ids)
        missed = self._change(chosen, 0)
        self._forget(chosen)
        if missed:
            print(
                f"{plural(missed, 'message')} could not be made visible again; that comes by"
                f" itself within {self._hold} s",
                file=sys.stderr,
            )

    def start(self) -> None:
        """From now on renew by itself what is held."""
        self._thread.start()

    def close(self) -> None:
        """Renew no more, and make everything visible again."""
        self._ended.set()
        self._thread.join()
        self.release()

    def _keep_renewing(self) -> None:
        while not self._ended.wait(min(_TICK, self._hold / 8)):
            self.renew()

    def _left(self, one: str) -> float:
        with self._lock:
            return self._held.get(one, ("", 0.0))[1] - self._clock()

    def _change(self, ids: list[str], seconds: int) -> int:
        """Hide what is still ours for so long from now; returns for how many that failed."""
        missed = 0
        for start in range(0, len(ids), BATCH):
            if seconds and self._ended.is_set():
                break
            # One at a time: a renewal may not come after the message was given back.
            with self._changing:
                failed = self._change_batch(ids[start : start + BATCH], seconds)
            if failed is None:
                # Their deadlines stand, and the next tick tries again. Without a network each
                # further call would take its whole time.
                return missed + len(ids) - start
            missed += failed
        return missed

    def _change_batch(self, ids: list[str], seconds: int) -> int | None:
        """How many failed; None: SQS was not reached."""
        began = self._clock()
        with self._lock:
            ours = [(one, *self._held[one]) for one in ids if one in self._held]
        held = [(one, receipt) for one, receipt, until in ours if until > began]
        if not held:
            return 0
        entries: Any = [
            {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for at, (_, receipt) in enumerate(held)
        ]
        try:
            answer = self._queues.again.change_message_visibility_batch(
                QueueUrl=self._queues.dlq, Entries=entries
            )
        except (ClientError, BotoCoreError, OSError):
            return None
        failed = failures(answer)
        with self._lock:
            for at, (one, receipt) in enumerate(held):
                # Deleted, or received again, in the meantime: then it is not this hold's.
                if self._held.get(one, ("",))[0] == receipt:
                    until = began + seconds if at not in failed else float("-inf")
                    self._held[one] = (receipt, until)
        return len(failed)

    def _forget(self, ids: list[str], left: dict[str, str] | None = None) -> None:
        with self._lock:
            for one in ids:
                self._held.pop(one, None)
                if left is not None:
                    left.pop(one, None)
