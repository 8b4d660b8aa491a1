"""The messages that are hidden while somebody looks at them; a thread renews them."""

import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reservation_worker.cli import operator_aws, terminal
from reservation_worker.cli.dlq.queues import PARALLEL, Queues
from reservation_worker.cli.text import plural
from reservation_worker.clock import awake
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import BATCH, failures, receipt_entries

HOLD = 300
"""How long a message stays hidden if this process dies, in seconds."""
_TICK = 10.0
_DELETE_PAUSES = (0.2, 1.0, 0.0)
"""After each try, in seconds."""


class Holds:
    """Local deadlines. Each counts from before the call that set it, so it is never too late.

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
        self._pool = ThreadPoolExecutor(PARALLEL, "holds")
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
        """The messages that are hidden."""
        with self._lock:
            return set(self._held)

    def safe(self, ids: Collection[str], seconds: float) -> set[str]:
        """Those of `ids` that stay ours for so long, renewed first where need be."""
        self._change([one for one in ids if self._left(one) < seconds], self._hold)
        return {one for one in ids if self._left(one) >= seconds}

    def renew(self) -> None:
        """Renew the holds with less than half of their time left."""
        self.safe(self.ids(), self._hold / 2)

    def delete(self, chosen: Iterable[str]) -> dict[str, str]:
        """Delete them, several times if need be; the errors of those that are still there."""
        left = dict.fromkeys(chosen, "")
        for pause in _DELETE_PAUSES:
            for failed in self._pool.map(self._delete_batch, _batches(list(left))):
                left |= failed
            with self._lock:
                left = {one: why for one, why in left.items() if one in self._held}
            if not left:
                break
            self._ended.wait(pause)
        return left

    def release(self, ids: Iterable[str] | None = None, doing: str = "making") -> int:
        """Make them, or all, visible again, with a bar; returns for how many that failed."""
        chosen = self._receipts(self.ids() if ids is None else ids)
        with terminal.progress(f"{doing} messages visible", "visible again", len(chosen)) as bar:
            missed = self._change(list(chosen), 0, lambda count: bar(advance=count))
        self._forget(chosen)
        if missed:
            print(
                f"{plural(missed, 'message')} could not be made visible again: SQS does it within"
                f" {self._hold} s",
                file=sys.stderr,
            )
        return missed

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def close(self, doing: str = "making") -> int:
        """Stop renewing, and release everything; see `release`."""
        self._ended.set()
        self._thread.join()
        try:
            return self.release(doing=doing)
        finally:
            self._pool.shutdown()

    def _keep_renewing(self) -> None:
        while not self._ended.wait(min(_TICK, self._hold / 8)):
            self.renew()

    def _left(self, one: str) -> float:
        with self._lock:
            return self._held.get(one, ("", 0.0))[1] - self._clock()

    def _change(
        self, ids: list[str], seconds: int, watch: Callable[[int], None] = lambda count: None
    ) -> int:
        """Hide those that are still ours for so long from now; returns for how many that failed."""
        if not ids:
            return 0
        unreached = threading.Event()

        def change(batch: list[str]) -> int:
            # The deadlines stand, and the next tick tries again. Without a network each further
            # call would take its whole time.
            if unreached.is_set():
                return len(batch)
            if seconds and self._ended.is_set():
                return 0
            failed = self._change_batch(batch, seconds)
            if failed is None:
                unreached.set()
                return len(batch)
            watch(len(batch))
            return failed

        # A renewal must not arrive after the message was given back.
        with self._changing:
            return sum(self._pool.map(change, _batches(ids)))

    def _change_batch(self, ids: list[str], seconds: int) -> int | None:
        """For how many it failed; None: SQS was not reached."""
        began = self._clock()
        with self._lock:
            ours = [(one, *self._held[one]) for one in ids if one in self._held]
        held = [(one, receipt) for one, receipt, until in ours if until > began]
        if not held:
            return 0
        receipts = [receipt for _, receipt in held]
        entries = receipt_entries(receipts, VisibilityTimeout=seconds)
        try:
            answer = self._queues.again.change_message_visibility_batch(
                QueueUrl=self._queues.dlq, Entries=entries
            )
        except aws.ERRORS:
            return None
        failed = failures(answer)
        with self._lock:
            for at, (one, receipt) in enumerate(held):
                # Deleted, or received again, in the meantime: then it is not this hold's.
                if self._held.get(one, ("",))[0] == receipt:
                    until = began + seconds if at not in failed else float("-inf")
                    self._held[one] = (receipt, until)
        return len(failed)

    def _delete_batch(self, batch: list[str]) -> dict[str, str]:
        """Delete them; the errors by message id."""
        receipts = self._receipts(batch)
        try:
            answer = self._queues.again.delete_message_batch(
                QueueUrl=self._queues.dlq,
                Entries=receipt_entries([receipts[one] for one in batch]),
            )
        except aws.ERRORS as error:
            return dict.fromkeys(batch, str(error))
        failed = failures(answer)
        self._forget({one: receipts[one] for at, one in enumerate(batch) if at not in failed})
        return {batch[at]: str(failure) for at, failure in failed.items()}

    def _receipts(self, ids: Iterable[str]) -> dict[str, str]:
        with self._lock:
            return {one: self._held[one][0] for one in ids if one in self._held}

    def _forget(self, receipts: Mapping[str, str]) -> None:
        """Forget these holds, but none of a message that was received again in the meantime."""
        with self._lock:
            for one, receipt in receipts.items():
                if self._held.get(one, ("",))[0] == receipt:
                    del self._held[one]


def _batches(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
