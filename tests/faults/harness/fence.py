"""Invariant 4 from outside: each call that a neighbour received, against the proxy's deliveries.

The proxy gives every delivery a trace id of its own, which the worker hands on with each call: so
it is known for which delivery a call was made, and until when that delivery was the worker's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GRACE = 0.5
"""How late a call that started in time may arrive, in seconds: the machine is busy.

The worker looks at the lease once more right before it sends, so that a thread which was held up
since its check sends nothing. A process that is frozen between that look and the system call still
sends when it thaws: a few microseconds that no client can close.
"""
_AT_ONCE = 0.05
_GONE = {"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"}


@dataclass(frozen=True, slots=True)
class Frozen:
    """A worker (as the proxy knows it) that was stopped between two Unix times."""

    worker: str
    since: float
    until: float


def breaches(
    deliveries: Sequence[Mapping[str, Any]],
    calls: Iterable[Mapping[str, Any]],
    visibility: float,
    wait: float,
    frozen: Sequence[Frozen] = (),
    longest: float = 0.0,
) -> list[str]:
    """A sentence for each call that started although its delivery was the worker's no more.

    A renewal may ask for more than the queue's own visibility, up to `longest` seconds.
    """
    by_trace = {delivery["trace_id"]: delivery for delivery in deliveries}
    receipts = Counter((delivery["worker"], delivery["receipt"]) for delivery in deliveries)
    ends = {
        trace_id: _end(
            delivery,
            visibility,
            wait,
            frozen,
            longest,
            shared=receipts[delivery["worker"], delivery["receipt"]] > 1,
        )
        for trace_id, delivery in by_trace.items()
    }
    found = []
    for call in calls:
        delivery = by_trace.get(_trace(call))
        name = f"{call['method']} {call['reservation_id']}"
        if delivery is None:
            found.append(f"{name}: a call that belongs to no delivery")
            continue
        until, why = ends[delivery["trace_id"]]
        if call["time"] > until:
            late = call["time"] - until
            found.append(
                f"{name} by {delivery['worker']} arrived {late:.2f} s after its lease ended: {why}"
                f" (delivery {delivery['number']} of {delivery['message_id']})"
            )
    return found


def handled_again(
    deliveries: Sequence[Mapping[str, Any]],
    calls: Iterable[Mapping[str, Any]],
    frozen: Sequence[Frozen] = (),
) -> list[str]:
    """A sentence for each settled message that was handled again where only its delete was due.

    Only where the worker knew: the delete of an earlier delivery to the same process had failed.
    """
    called = {_trace(call) for call in calls}
    earlier: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    found = []
    for delivery in sorted(deliveries, key=lambda row: row["sent_at"]):
        key = (delivery["worker"], delivery["message_id"])
        uses = [use for one in earlier.get(key, []) for use in one["uses"] if use.what == "delete"]
        earlier.setdefault(key, []).append(delivery)
        came = delivery["sent_at"]
        # Not while the deletes go on: the worker had not given up by then.
        if not uses or any(use.answered_at + GRACE > came for use in uses):
            continue
        last = max(uses, key=lambda use: use.answered_at)
        if any(
            one.worker == key[0] and one.since <= came and last.answered_at <= one.until
            for one in frozen
        ):
            continue  # the bad news and the message reach it together
        if last.answer not in ("ok", "", "error") and delivery["trace_id"] in called:
            found.append(
                f"{delivery['message_id']} was handled again (delivery {delivery['number']} to"
                f" {delivery['worker']}), although its delete had failed: {last.answer}"
            )
    return found


def _trace(call: Mapping[str, Any]) -> str:
    parts = call["headers"].get("traceparent", "").split("-")
    return str(parts[1]) if len(parts) > 1 else ""


def _end(
    delivery: Mapping[str, Any],
    visibility: float,
    wait: float,
    frozen: Sequence[Frozen],
    longest: float,
    shared: bool,
) -> tuple[float, str]:
    """Until when a call may arrive, and why not later."""
    base = delivery["sent_at"]
    for one in frozen:
        # A receive that returned to a frozen process returns when it thaws; but no lease counts
        # from later than the receive may have taken (the worker's poller).
        if one.worker == delivery["worker"] and one.since - GRACE <= base <= one.until:
            base = max(base, min(one.until, delivery["asked_at"] + wait + 1))
    end, why = base + visibility, "its visibility was over"
    closed: tuple[float, str] = (float("inf"), "")
    for use in delivery["uses"]:
        if use.what == "delete":
            closed = min(closed, (use.asked_at + _AT_ONCE, "it had been deleted"))
        elif use.seconds < visibility:
            closed = min(closed, (use.asked_at + GRACE, "it had been given back"))
        elif use.answer in _GONE:
            closed = min(closed, (use.answered_at + GRACE, "its receipt was refused"))
        elif use.done and use.answered_at <= end + GRACE:
            granted = max(visibility, min(use.seconds, longest))
            end = max(end, use.answered_at + granted)
    # Two deliveries to a worker share a receipt: nobody knows which of them ended.
    return min((end + GRACE, why), (float("inf"), "") if shared else closed)
