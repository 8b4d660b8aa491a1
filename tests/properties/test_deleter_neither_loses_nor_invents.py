"""Whatever fails, by entry or by call: each message is deleted or remembered, and counted once."""

from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from reservation_worker.errors import SqsError
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import ATTEMPTS, Deleter
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.batches import BATCH, BatchFailure
from reservation_worker.sqs.queue import Message
from tests.fake_queue import PATIENCE, FakeClock, FakeQueue, new_metrics, opened, sample

FAILURES = {
    "passing": BatchFailure("InternalError", sender_fault=False),
    "ours": BatchFailure("InvalidParameter", sender_fault=True),
    "gone": BatchFailure("ReceiptHandleIsInvalid", sender_fault=False),
}

# One call of SQS: it raises, or answers with a result for each position (None: deleted).
Results = list[str | None]
calls = st.one_of(
    st.sampled_from([SqsError("ServiceUnavailable", "scripted"), RuntimeError("a bug")]),
    st.lists(st.sampled_from([None, *FAILURES]), min_size=BATCH, max_size=BATCH),
)


def step(call: Exception | Results) -> Callable[[Sequence[str]], dict[int, BatchFailure]]:
    def answer(receipts: Sequence[str]) -> dict[int, BatchFailure]:
        if isinstance(call, Exception):
            raise call
        results = enumerate(call[: len(receipts)])
        return {position: FAILURES[name] for position, name in results if name is not None}

    return answer


@settings(deadline=None)
@given(
    count=st.integers(0, 35),
    copies=st.lists(st.integers(0, 34), max_size=5),
    script=st.lists(calls, max_size=12),
)
def test_every_message_is_deleted_or_remembered_and_no_other_is_touched(
    count: int, copies: list[int], script: list[Exception | Results]
) -> None:
    queue, metrics = FakeQueue(), new_metrics()
    custody = Custody(FakeClock())
    deleter = Deleter(queue, custody, metrics, lambda delivery: True, linger=PATIENCE)
    memory = deleter.memory
    bystanders = {queue.send() for _ in range(3)}
    for _ in range(count):
        queue.send()
    received: list[Message] = []
    while more := queue.receive(BATCH, 0):
        received += more
    settled = [message for message in received if message.id not in bystanders]
    # Some come twice.
    settled += [settled[number] for number in copies if number < count]
    queue.script("delete", *map(step, script))

    deliveries = [opened(message, float("inf"), Lease) for message in settled]
    custody.take(deliveries)
    for delivery in deliveries:
        deleter.add(delivery)
    deleter.start()
    deleter.stop(PATIENCE)

    left = set(queue.left())
    assert bystanders <= left
    known = {message.id for message in settled if memory.knows(message.id)}
    assert left - bystanders <= known, "neither deleted nor remembered"
    # Every receipt was tried, and no more often than is allowed.
    tried = [receipt for (receipts,) in queue.calls("delete") for receipt in receipts]
    for message in settled:
        added = settled.count(message)
        assert added <= tried.count(message.receipt) <= added * ATTEMPTS
    assert set(tried) <= {message.receipt for message in settled}
    # Counted once each: the open ones were given up.
    given_up = sample(metrics, "worker_delete_failures_total")
    assert 0 <= custody.open() <= given_up <= len(settled)
    if len(settled) == count:
        assert given_up == len(left - bystanders)


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 25), failing=st.sampled_from(["call", "bug", *FAILURES]))
def test_messages_that_cannot_be_deleted_are_all_remembered(count: int, failing: str) -> None:
    queue, metrics = FakeQueue(), new_metrics()
    custody = Custody(FakeClock())
    deleter = Deleter(queue, custody, metrics, lambda delivery: True, linger=PATIENCE)
    memory = deleter.memory
    error = {"call": SqsError("Throttled", "scripted"), "bug": RuntimeError("a bug")}.get(failing)
    queue.script("delete", *[step(error or [failing] * BATCH)] * count * ATTEMPTS)
    ids = [queue.send() for _ in range(count)]
    while more := queue.receive(BATCH, 0):
        for message in more:
            deleter.add(opened(message, float("inf"), Lease))
    deleter.start()
    deleter.stop(PATIENCE)
    assert sample(metrics, "worker_delete_failures_total") == count
    assert queue.left() == ids
    assert all(memory.knows(one) for one in ids)
