"""The demo's scenario keeps its promises at every size."""

from collections import Counter

import pytest

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Ignored, parse
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.story.poison import poison_bodies
from reservation_worker.simulator.story.samples import event
from reservation_worker.simulator.story.scenario import TALES, Message, build
from reservation_worker.simulator.story.variants import variants

SEAT = Record("rsv_1", "show", ("A1",))
IDS = {"identity": "evt_1", "trace_id": "trace_abc"}


@pytest.mark.parametrize("events", [1, 2, 3, 10, 50, 333, 1000])
def test_it_has_exactly_as_many_messages_as_asked_for(events: int) -> None:
    assert len(build(events).messages) == events


def test_the_same_seed_makes_the_same_scenario_and_another_seed_another() -> None:
    assert build(200, 7) == build(200, 7)
    assert build(200, 7) != build(200, 8)


def test_no_events_are_no_scenario() -> None:
    with pytest.raises(ValueError, match="at least one"):
        build(0)


def test_even_a_small_scenario_has_every_tale() -> None:
    assert {message.tale for message in build(30).messages} == {tale.name for tale in TALES}


def test_one_message_in_twenty_is_a_copy() -> None:
    scenario = build(1000)
    poison = {body for _, body in poison_bodies()}
    bodies = Counter(m.body for m in scenario.messages if m.body not in poison)
    copies = sum(count - 1 for count in bodies.values())
    assert 40 <= copies <= 50


def test_all_envelope_variants_are_sent_for_each_type() -> None:
    seen: dict[str, set[str]] = {}
    for message in build(1000).messages:
        seen.setdefault(message.kind, set()).add(message.variant)
    for kind in Kind:
        assert seen[kind.label] == set(variants(event(kind.event_type, SEAT, "pay", **IDS)))
    assert seen["nothing"] == {"payment_status"}
    assert seen["poison"] == {name for name, _ in poison_bodies()}


def test_pairs_of_one_reservation_come_in_both_orders() -> None:
    orders = Counter(message.tale for message in build(1000).messages)
    for pair in ("approved, expired", "expired, approved", "failed, expired", "expired, failed"):
        assert orders[pair] >= 2


def test_late_payments_wait_for_the_second_phase() -> None:
    scenario = build(1000)
    late = scenario.phase(1)
    assert {message.tale for message in late} == {"approved after the expiry", "paid twice"}
    assert {message.kind for message in late} == {"approved"}
    assert len(scenario.phase(0)) + len(late) == 1000


def test_some_reservations_are_general_admission_and_some_messages_carry_a_trace() -> None:
    scenario = build(1000)
    standing = [record for record in scenario.seeds if not record.seat_ids]
    assert 50 < len(standing) < len(scenario.seeds) / 3
    names = Counter(name for message in scenario.messages for name, _ in message.attributes)
    assert names["traceparent"] > 100
    assert names["TraceId"] > 30


def test_its_seeds_make_a_world() -> None:
    scenario = build(1000)
    ledger = Ledger()
    ledger.seed(scenario.seeds, scenario.pools)
    assert set(ledger.dump()["reservations"]) == set(scenario.expected)


def kind_for_the_worker(message: Message) -> str:
    try:
        parsed = parse(message.body, dict(message.attributes))
    except InvalidEvent:
        return "poison"
    if isinstance(parsed, Ignored):
        return "nothing"
    assert parsed.reservation_id == message.reservation_id
    assert (parsed.payment_intent_id or "") == message.payment_intent_id
    return parsed.kind.label


@pytest.mark.parametrize("seed", range(3))
def test_the_worker_reads_every_message_as_the_scenario_means_it(seed: int) -> None:
    for message in build(1000, seed).messages:
        assert kind_for_the_worker(message) == message.kind, message


def test_sqs_takes_every_body() -> None:
    for name, body in poison_bodies():
        assert 0 < len(body.encode()) <= 262_144, name
        assert all(char >= " " or char in "\t\n\r" for char in body), name
