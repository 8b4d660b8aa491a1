"""Reconciliation: a right run passes, and every kind of defect is found."""

from collections.abc import Callable

import pytest

from reservation_worker.events.kinds import BY_LABEL, Commit
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.reconcile.report import DeadLetter, Report, reconcile
from reservation_worker.simulator.story.scenario import Message, Scenario, build

HALL, LAWN = "evt_hall", "evt_lawn"


class Run:
    """A ledger, the dead letters, and a worker that is right unless a test bends it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.ledger = Ledger()
        self.ledger.seed(scenario.seeds, scenario.pools)
        self.records = {record.reservation_id: record for record in scenario.seeds}
        self.dead: list[DeadLetter] = []
        self.depth = 0

    def settle_all(self) -> "Run":
        for phase in (0, 1):
            for message in self.scenario.phase(phase):
                self.settle(message)
        return self

    def settle(self, message: Message) -> None:
        if message.kind == "poison":
            self.bury(message, "invalid_payload")
        elif message.kind in BY_LABEL:
            rule = BY_LABEL[message.kind].value
            move = self.commit if isinstance(rule.seats, Commit) else self.release
            if self.patch(message, rule.target):
                move(message.reservation_id)
            elif rule.money_taken:
                self.bury(message, "compensation_required")

    def patch(self, message: Message, status: str) -> bool:
        rid = message.reservation_id
        facts = {"payment_intent_id": message.payment_intent_id or None}
        change = self.ledger.reservations.change(rid, status, f"status:{status}:{rid}", facts)
        assert change is not None
        paid = change.record.payment_intent_id
        same = not message.payment_intent_id or paid in (None, message.payment_intent_id)
        return change.record.status == status and same

    def commit(self, rid: str, key: str = "commit:") -> None:
        record = self.records[rid]
        seats = list(record.seat_ids)
        self.ledger.seats.commit(rid, record.event_id, seats, record.quantity, key and key + rid)

    def release(self, rid: str, key: str = "release:") -> None:
        record = self.records[rid]
        seats = list(record.seat_ids)
        self.ledger.seats.release(rid, record.event_id, seats, record.quantity, key and key + rid)

    def bury(self, message: Message, reason: str, source: str = "") -> None:
        number = str(len(self.dead))
        self.dead.append(DeadLetter(f"dead-{number}", message.body, reason, source or number))

    def report(self) -> Report:
        return reconcile(self.scenario, self.ledger.dump(), self.dead, self.depth)


def message(kind: str, rid: str, payment: int = 1, phase: int = 0) -> Message:
    pay = "" if kind in ("expired", "poison") else f"pay_{payment}"
    body = f"{kind} {rid} {pay}"
    return Message(body, "a tale", kind, "canonical", rid, pay, phase)


SEATED = Record("rsv_1", HALL, ("A1", "A2"))
STANDING = Record("rsv_2", LAWN, quantity=3)


def run(*messages: Message, ends: str) -> Run:
    expected = {rid: frozenset(ends.split()) for rid in {m.reservation_id for m in messages} if rid}
    seeds = tuple(record for record in (SEATED, STANDING) if record.reservation_id in expected)
    return Run(Scenario(seeds, {LAWN: 3}, messages, expected))


def only(report: Report, kind: str) -> None:
    """The defect is reported as that kind, and as no other."""
    assert not report.ok
    assert [name for name, sentences in report.defects.items() if sentences] == [kind], report


@pytest.mark.parametrize("seed", range(5))
def test_a_right_run_reconciles(seed: int) -> None:
    report = Run(build(500, seed)).settle_all().report()
    assert report.ok, report
    assert report.compensations_due == report.compensations_found
    assert len(report.compensations_due) > 5


def test_redelivered_messages_and_copied_dead_letters_are_no_defect() -> None:
    bent = Run(build(300)).settle_all()
    for again in bent.scenario.messages:
        if again.kind != "poison" and again.phase == 0 and "," not in again.tale:
            before = len(bent.dead)
            bent.settle(again)
            del bent.dead[before:]
    first = bent.dead[0]
    copy = DeadLetter("copy", first.body, first.reason, first.source_message_id)
    bent.dead.append(copy)
    assert bent.report().ok, bent.report()


@pytest.mark.parametrize("rid", ["rsv_1", "rsv_2"])
def test_oversold_is_a_release_after_the_sale(rid: str) -> None:
    bent = run(message("approved", rid), ends="CONFIRMED").settle_all()
    bent.release(rid)
    report = bent.report()
    assert not report.ok
    assert "freed after" in report.oversold[0]


@pytest.mark.parametrize("rid", ["rsv_1", "rsv_2"])
def test_oversold_is_a_release_for_a_reservation_that_was_seeded_as_bought(rid: str) -> None:
    record = SEATED if rid == "rsv_1" else STANDING
    bought = Record(rid, record.event_id, record.seat_ids, record.quantity, "CONFIRMED")
    bent = Run(Scenario((bought,), {LAWN: 3}, (), {rid: frozenset({"CONFIRMED"})}))
    assert bent.report().ok
    bent.release(rid)
    assert bent.report().oversold


def test_oversold_is_a_seat_sold_to_two() -> None:
    bent = run(message("approved", "rsv_1"), ends="CONFIRMED").settle_all()
    dump = bent.ledger.dump()
    sale = next(row for row in dump["journal"] if row["op"] == "commit")
    other = sale | {"seq": 99, "reservation_id": "rsv_other", "seats": ["A2"]}
    dump["journal"].append(other)
    assert "A2: sold to rsv_1 and to rsv_other" in reconcile(bent.scenario, dump, []).oversold[0]


def test_oversold_is_a_sale_after_the_release() -> None:
    bent = run(message("expired", "rsv_2"), ends="EXPIRED").settle_all()
    dump = bent.ledger.dump()
    release = next(row for row in dump["journal"] if row["op"] == "release")
    dump["journal"].append(release | {"seq": 99, "op": "commit"})
    assert "after its release" in reconcile(bent.scenario, dump, []).oversold[0]


def test_oversold_is_a_pool_that_sold_more_than_it_has() -> None:
    bent = run(message("approved", "rsv_2"), ends="CONFIRMED").settle_all()
    dump = bent.ledger.dump()
    dump["pools"][LAWN]["sold"]["rsv_other"] = 1
    assert "4 sold of 3" in reconcile(bent.scenario, dump, []).oversold[0]


def test_oversold_is_a_pool_that_offers_more_than_it_has_left() -> None:
    bent = run(message("expired", "rsv_2"), ends="EXPIRED").settle_all()
    record = STANDING
    bent.ledger.seats.release("rsv_2", record.event_id, [], 1, "another key")
    assert "4 on sale" in bent.report().oversold[0]


@pytest.mark.parametrize("rid", ["rsv_1", "rsv_2"])
@pytest.mark.parametrize(
    ("kind", "status", "ends"),
    [("expired", "EXPIRED", "EXPIRED"), ("failed", "CANCELLED", "CANCELLED")],
)
def test_leaked_is_a_hold_of_a_reservation_that_is_over(
    rid: str, kind: str, status: str, ends: str
) -> None:
    bent = run(message(kind, rid), ends=ends)
    bent.patch(bent.scenario.messages[0], status)
    only(bent.report(), "leaked")


@pytest.mark.parametrize("rid", ["rsv_1", "rsv_2"])
def test_leaked_is_a_confirmed_reservation_whose_seats_are_not_sold(rid: str) -> None:
    bent = run(message("approved", rid), ends="CONFIRMED")
    bent.patch(bent.scenario.messages[0], "CONFIRMED")
    only(bent.report(), "leaked")


def test_leaked_are_places_without_a_reservation() -> None:
    bent = run(message("expired", "rsv_2"), ends="EXPIRED").settle_all()
    dump = bent.ledger.dump()
    dump["pools"][LAWN]["available"] = 1
    assert "2 places are nobody's" in reconcile(bent.scenario, dump, []).leaked[0]


def test_leaked_is_a_seat_sold_to_a_reservation_that_is_over() -> None:
    bent = run(message("expired", "rsv_1"), ends="EXPIRED")
    bent.commit("rsv_1")
    bent.patch(bent.scenario.messages[0], "EXPIRED")
    assert "SOLD for rsv_1, which is EXPIRED" in bent.report().leaked[0]


@pytest.mark.parametrize("kind", ["expired", "approved", "failed"])
def test_lost_is_an_event_that_changed_nothing(kind: str) -> None:
    bent = run(message(kind, "rsv_1"), ends="CONFIRMED EXPIRED CANCELLED")
    assert "rsv_1 is HOLD" in bent.report().lost[0]


def test_lost_is_a_payment_that_is_neither_settled_nor_a_dead_letter() -> None:
    bent = run(message("expired", "rsv_1"), message("approved", "rsv_1"), ends="EXPIRED CONFIRMED")
    bent.settle(bent.scenario.messages[0])
    report = bent.report()
    only(report, "lost")
    assert report.compensations_due == {"rsv_1"}
    assert not report.compensations_found


def test_lost_is_a_second_payment_without_a_dead_letter() -> None:
    both = (message("approved", "rsv_1"), message("approved", "rsv_1", payment=2, phase=1))
    bent = run(*both, ends="CONFIRMED")
    bent.settle(both[0])
    only(bent.report(), "lost")


def test_lost_is_one_of_two_copies_of_a_late_payment() -> None:
    late = message("approved", "rsv_1")
    bent = run(message("expired", "rsv_1"), late, late, ends="EXPIRED").settle_all()
    assert bent.report().ok
    bent.dead.pop()
    only(bent.report(), "lost")


def test_lost_is_a_poison_message_that_was_thrown_away() -> None:
    bent = run(message("poison", ""), message("expired", "rsv_1"), ends="EXPIRED").settle_all()
    assert bent.report().ok
    bent.dead.clear()
    only(bent.report(), "lost")


def test_lost_is_a_message_left_in_the_queue() -> None:
    bent = run(message("expired", "rsv_1"), ends="EXPIRED").settle_all()
    bent.depth = 1
    only(bent.report(), "lost")


def test_lost_is_a_reservation_that_is_gone() -> None:
    bent = run(message("expired", "rsv_1"), ends="EXPIRED").settle_all()
    dump = bent.ledger.dump()
    del dump["reservations"]["rsv_1"]
    assert "rsv_1 is gone" in reconcile(bent.scenario, dump, []).lost[0]


def test_doubled_is_a_quantity_freed_twice() -> None:
    bent = run(message("expired", "rsv_2"), ends="EXPIRED").settle_all()
    bent.release("rsv_2", key="")
    assert "release of a quantity took effect 2 times" in bent.report().doubled[0]


@pytest.mark.parametrize(
    ("op", "part"), [("release", "A1"), ("commit", "A1"), ("status", "the state")]
)
def test_doubled_is_any_effect_that_is_in_the_journal_twice(op: str, part: str) -> None:
    kind = "approved" if op == "commit" else "expired"
    bent = run(message(kind, "rsv_1"), ends="EXPIRED CONFIRMED").settle_all()
    dump = bent.ledger.dump()
    row = next(row for row in dump["journal"] if row["op"] == op)
    dump["journal"].append(row | {"seq": 99})
    report = reconcile(bent.scenario, dump, [])
    assert f"rsv_1: {op} of {part} took effect 2 times" in report.doubled


@pytest.mark.parametrize(
    ("kind", "act"), [("expired", Run.release), ("failed", Run.release), ("approved", Run.commit)]
)
def test_premature_is_inventory_that_moves_before_the_arbiter_spoke(
    kind: str, act: Callable[[Run, str], None]
) -> None:
    bent = run(message(kind, "rsv_1"), ends="EXPIRED CANCELLED CONFIRMED")
    act(bent, "rsv_1")
    bent.settle_all()
    only(bent.report(), "premature")


def test_unexpected_is_a_dead_letter_that_was_settled() -> None:
    bent = run(message("expired", "rsv_1"), ends="EXPIRED").settle_all()
    bent.bury(bent.scenario.messages[0], "retries_exhausted")
    only(bent.report(), "unexpected_dead_letters")


def test_unexpected_is_a_dead_letter_for_the_wrong_reason_or_for_none() -> None:
    for reason in ("retries_exhausted", ""):
        bent = run(message("poison", ""), message("expired", "rsv_1"), ends="EXPIRED")
        bent.settle(bent.scenario.messages[1])
        bent.bury(bent.scenario.messages[0], reason)
        only(bent.report(), "unexpected_dead_letters")


def test_unexpected_is_a_dead_letter_that_was_never_published() -> None:
    bent = run(message("expired", "rsv_1"), ends="EXPIRED").settle_all()
    bent.bury(message("poison", "", 7), "invalid_payload")
    only(bent.report(), "unexpected_dead_letters")


def test_a_compensation_for_a_payment_that_was_settled_does_not_reconcile() -> None:
    bent = run(message("approved", "rsv_1"), ends="CONFIRMED").settle_all()
    bent.bury(bent.scenario.messages[0], "compensation_required")
    report = bent.report()
    assert report.compensations_found == {"rsv_1"}
    assert not report.compensations_due
    assert not report.ok


def test_copies_of_a_dead_letter_count_once() -> None:
    late = message("approved", "rsv_1")
    bent = run(message("expired", "rsv_1"), late, ends="EXPIRED").settle_all()
    bent.bury(late, "compensation_required", source=bent.dead[0].source)
    assert bent.report().dead_letters_by_reason == {"compensation_required": 1}
    assert bent.report().ok
