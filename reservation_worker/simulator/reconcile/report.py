"""Checks that every published message ended as it must. Pure.

Compares three accounts of one run: the scenario (the published messages), the ledger's dump (the
effects at the neighbours) and the dead-letter queue. It uses none of the worker's figures.

Once inventory may have forgotten its keys (today's does), a repeated effect by seat can only end as
a dead letter although it took place, and a release by quantity that may be a repeat must not be
sent: it becomes a dead letter, for a person to check.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from reservation_worker.events.kinds import BY_LABEL
from reservation_worker.simulator.reconcile.audit import Defects, audit
from reservation_worker.simulator.story.scenario import POISON, Message, Scenario

_COMPENSATION = "compensation_required"
_INVALID = "invalid_payload"
_UNSURE = "permanent_error"
_EXHAUSTED = "retries_exhausted"
_SETTLED = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter. One that SQS moved by itself has neither reason nor source."""

    message_id: str
    body: str
    reason: str = ""
    source_message_id: str = ""
    error: str = ""

    @property
    def source(self) -> str:
        """The id of its message: a crash between send and delete leaves two copies of one."""
        return self.source_message_id or self.message_id


@dataclass(frozen=True, slots=True)
class Report(Defects):
    """One sentence for each defect; a run without any reconciles."""

    lost: list[str] = field(default_factory=list)
    unexpected_dead_letters: list[str] = field(default_factory=list)
    compensations_due: frozenset[str] = frozenset()
    compensations_found: frozenset[str] = frozenset()
    releases_to_check: frozenset[str] = frozenset()
    dead_letters_by_reason: Mapping[str, int] = field(default_factory=dict)

    @property
    def defects(self) -> dict[str, list[str]]:
        """The defects by kind."""
        return {
            "oversold": self.oversold,
            "leaked": self.leaked,
            "lost": self.lost,
            "doubled": self.doubled,
            "premature": self.premature,
            "unexpected_dead_letters": self.unexpected_dead_letters,
        }

    @property
    def ok(self) -> bool:
        """No defect, and exactly the due compensations were found."""
        return not any(self.defects.values()) and (
            self.compensations_due == self.compensations_found
        )

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "ok": self.ok,
            **self.defects,
            "compensations_due": sorted(self.compensations_due),
            "compensations_found": sorted(self.compensations_found),
            "releases_to_check": sorted(self.releases_to_check),
            "dead_letters_by_reason": dict(self.dead_letters_by_reason),
        }


def reconcile(
    scenario: Scenario,
    dump: Mapping[str, Any],
    dead_letters: Iterable[DeadLetter],
    queue_depth: int = 0,
) -> Report:
    """Compare. `queue_depth` counts all that is left: visible, in flight and delayed."""
    letters = list({letter.source: letter for letter in dead_letters}.values())
    by_body: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        by_body.setdefault(letter.body, []).append(letter)
    published = Counter(message.body for message in scenario.messages)
    kinds = {message.body: message for message in scenario.messages}
    fates = _Fates(dump)

    lost = [] if not queue_depth else [f"{queue_depth} messages are left in the queue"]
    lost += _unexplained_ends(scenario, dump)
    unexpected: list[str] = []
    due: set[str] = set()
    to_check: set[str] = set()
    for body, message in kinds.items():
        found = by_body.get(body, [])
        allowed = fates.of(message)
        reasons = {letter.reason for letter in found} & allowed
        if _COMPENSATION in allowed:
            due.add(message.reservation_id)
        if _UNSURE in reasons:
            to_check.add(message.reservation_id)
        if _SETTLED not in allowed and len(found) < published[body]:
            missing, due_as = published[body] - len(found), " or ".join(sorted(allowed))
            lost.append(f"{missing} of {_name(message)} must be dead letters ({due_as})")
        unexpected += [
            f"{_name(message)} is a dead letter: {letter.reason or 'no reason'}, {letter.error}"
            for letter in found
            if letter.reason not in allowed - {_SETTLED}
        ]
    unexpected += [
        f"a dead letter that was never published: {letter.body[:80]!r}"
        for letter in letters
        if letter.body not in kinds
    ]
    asked = {
        kinds[letter.body].reservation_id
        for letter in letters
        if letter.reason == _COMPENSATION and letter.body in kinds
    }
    return Report(
        **asdict(audit(dump, to_check)),
        lost=lost,
        unexpected_dead_letters=unexpected,
        compensations_due=frozenset(due),
        compensations_found=frozenset(asked),
        releases_to_check=frozenset(to_check),
        dead_letters_by_reason=Counter(letter.reason or "redriven by SQS" for letter in letters),
    )


class _Fates:
    """The possible ends of a message, by its reservation in the ledger's dump."""

    def __init__(self, dump: Mapping[str, Any]) -> None:
        self._reservations = dump["reservations"]
        self._forgotten = dump.get("keys_forgotten", False)
        self._moved = {
            row["reservation_id"]
            for row in dump["journal"]
            if row["op"] in ("release", "commit") and row["outcome"] == "applied"
        }

    def of(self, message: Message) -> frozenset[str]:
        """The allowed dead-letter reasons; "": it may also be settled."""
        rid = message.reservation_id
        record = self._reservations.get(rid) or {}
        if message.kind == POISON:
            return frozenset({_INVALID})
        ends = {_SETTLED}
        kind = BY_LABEL.get(message.kind)
        if kind is not None and kind.value.money_taken:
            settled = record.get("status") == kind.value.target
            if not settled or record.get("payment_intent_id") != message.payment_intent_id:
                ends = {_COMPENSATION}
        elif self._forgotten and not record.get("seat_ids"):
            ends.add(_UNSURE)
        if self._forgotten and rid in self._moved and _SETTLED in ends:
            ends.add(_EXHAUSTED)
        return frozenset(ends)


def _unexplained_ends(scenario: Scenario, dump: Mapping[str, Any]) -> Sequence[str]:
    lost = []
    for reservation_id, ends in scenario.expected.items():
        record = dump["reservations"].get(reservation_id)
        state = record["status"] if record else "gone"
        if state not in ends:
            lost.append(f"{reservation_id} is {state}, not {' or '.join(sorted(ends))}")
    return lost


def _name(message: Message) -> str:
    if message.kind == POISON:
        return f"poison ({message.variant})"
    return f"{message.reservation_id} {message.kind} ({message.variant}; {message.tale})"
