"""Thread: renews the leases of messages that wait or run, in batches.

A lease is a local monotonic deadline, counted from the receive's return; until then SQS gives the
message to no other worker. Renewal alone is no fence, because a stale receipt can still succeed:
every call and every completion checks the lease first.
"""

import threading
from collections.abc import Callable, Sequence

from loguru import logger

from reservation_worker.errors import LeaseLost, LeaseTooShort, SqsError
from reservation_worker.observability.metrics import Metrics
from reservation_worker.sqs.batches import BATCH
from reservation_worker.sqs.queue import Queue


class Lease:
    """The right to work on one delivery until `deadline` (monotonic seconds)."""

    __slots__ = ("call_until", "deadline", "fenced", "receipt", "renew_until")

    def __init__(self, receipt: str, deadline: float, renew_until: float = float("inf")) -> None:
        self.receipt = receipt
        self.deadline = deadline
        # Beyond it nothing renews (docs/contract.md#leases); set again when the handling starts.
        self.renew_until = renew_until
        # When the call in flight ends at the latest; 0 when there is none.
        self.call_until = 0.0
        # The stop has given the message back: no new call may start.
        self.fenced = False


class Leases:
    """All leases of this process.

    `visibility` is the queue's own timeout in seconds. A message that has not started after
    `patience` seconds waits behind a stuck one: it is not renewed, because another pod may be free.
    """

    def __init__(
        self,
        queue: Queue,
        visibility: int,
        clock: Callable[[], float],
        metrics: Metrics,
        patience: float = float("inf"),
    ) -> None:
        self.visibility = visibility
        self._patience = patience
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: set[Lease] = set()
        self._in_renewal: set[Lease] = set()
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Start renewing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; safe before start and twice."""
        self._stopping = True
        self._wake.set()

    @property
    def count(self) -> int:
        """How many leases are open, including those that are left to run out."""
        return len(self._open)

    def resize(self, visibility: int) -> None:
        """Follow a change of the queue's visibility timeout; a shorter one shortens open leases.

        A message keeps the timeout with which it was received, but the time of the change is
        unknown.
        """
        with self._lock:
            shorter = self.visibility - visibility
            self.visibility = visibility
            for lease in self._open if shorter > 0 else ():
                lease.deadline -= shorter
        # The thread's pause may be longer than the new leases.
        self._wake.set()

    def open(self, receipt: str, received_at: float) -> Lease:
        """The lease of a message whose receive returned at `received_at`."""
        with self._lock:
            # Under the lock, because a resize shortens the leases that are open.
            lease = Lease(receipt, received_at + self.visibility, received_at + self._patience)
            self._open.add(lease)
        return lease

    def close(self, lease: Lease) -> None:
        """Start no more renewals of this lease; one may be under way."""
        with self._lock:
            self._open.discard(lease)

    def close_and_wait(self, lease: Lease) -> None:
        """Like `close`, and wait for a renewal under way.

        A renewal that came after a give-back would hide the message for a whole timeout.
        """
        with self._lock:
            self._open.discard(lease)
            self._changed.wait_for(lambda: lease not in self._in_renewal)

    def held(self, lease: Lease) -> bool:
        """Whether the message is still ours."""
        return self._clock() < lease.deadline and not lease.fenced

    def begin_call(self, lease: Lease, wanted: float) -> float:
        """Seconds that a call which wants `wanted` may take, renewing the lease if need be.

        Raises LeaseLost when the lease is over, LeaseTooShort when it is too short and could
        not be renewed.
        """
        if not self.held(lease):
            raise LeaseLost("the lease is over: the message may be with another worker")
        # Where the visibility timeout is no longer than the call, the call gets the time left.
        needed = wanted if self.visibility > wanted else self.visibility / 2
        if lease.deadline - self._clock() < needed:
            before = lease.deadline
            if self._clock() < lease.renew_until:
                self._renew([lease])
            if not self.held(lease):
                raise LeaseLost("the lease ended while it was renewed")
            short = self.visibility > wanted and lease.deadline - self._clock() < wanted
            if lease.deadline == before or short:
                raise LeaseTooShort("the lease is too short for another call")
        # Under the lock: a call starts before the fence, which then waits for it, or not at all.
        with self._lock:
            now = self._clock()
            if lease.fenced or now >= lease.deadline:
                raise LeaseLost("the message was given back, or its lease has just ended")
            timeout = min(wanted, lease.deadline - now)
            lease.call_until = now + timeout
            return timeout

    def call_left(self, lease: Lease) -> float:
        """Seconds that the call which began last may still take, asked right before it is sent.

        Raises LeaseLost or LeaseTooShort if the thread was held up for too long since `begin_call`:
        by a process that was frozen, say.
        """
        now = self._clock()
        if now >= lease.deadline:
            raise LeaseLost("the lease ended before the call was sent")
        if now >= lease.call_until:
            raise LeaseTooShort("the call's time was over before it was sent")
        return min(lease.call_until, lease.deadline) - now

    @staticmethod
    def end_call(lease: Lease) -> None:
        """Note the end of the call that began last."""
        lease.call_until = 0.0

    def fence(self, lease: Lease) -> float:
        """Let no new call start; returns how many seconds one may still be in flight."""
        with self._lock:
            lease.fenced = True
            return max(0.0, lease.call_until - self._clock())

    def tick(self) -> None:
        """Renew the leases that have less than half of their time left."""
        now = self._clock()
        with self._lock:
            self._open = {lease for lease in self._open if now < lease.deadline}
            due = [
                lease
                for lease in self._open
                if lease.deadline < now + self.visibility / 2 and now < lease.renew_until
            ]
        for start in range(0, len(due), BATCH):
            self._renew(due[start : start + BATCH])

    def _renew(self, leases: Sequence[Lease]) -> None:
        with self._lock:
            while any(lease in self._in_renewal for lease in leases):
                self._changed.wait()
            batch = [lease for lease in leases if lease in self._open and not lease.fenced]
            self._in_renewal.update(batch)
        if not batch:
            return
        # Read once, because a resize may come meanwhile. The deadline counts from before the call:
        # SQS starts the new time no earlier.
        visibility = self.visibility
        deadline = self._clock() + visibility
        try:
            failed = self._queue.change_visibility([lease.receipt for lease in batch], visibility)
            answered = self._clock()
            for position, lease in enumerate(batch):
                if position in failed:
                    self._metrics.lease_renewal_failures.inc()
                    if failed[position].gone:
                        # Deleted, or another worker has it.
                        lease.deadline = min(lease.deadline, answered)
                elif answered < lease.deadline:
                    # A later answer proves nothing: a stale receipt can still succeed.
                    lease.deadline = deadline
                    self._metrics.leases_renewed.inc()
        except SqsError as error:
            self._metrics.lease_renewal_failures.inc(len(batch))
            logger.warning("leases could not be renewed: {}", error)
        finally:
            with self._lock:
                self._in_renewal.difference_update(batch)
                self._changed.notify_all()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(max(0.05, self.visibility / 6))
            self._wake.clear()
            try:
                self.tick()
            except Exception:
                logger.exception("a lease renewal failed; the thread goes on")
