"""Evidence: a failure is the message's own only if others are served well at the same time."""

from reservation_worker.resilience.evidence import FRESH, Evidence
from tests.fake_queue import FakeClock


def test_without_any_answer_there_is_no_evidence() -> None:
    assert not Evidence(FakeClock()).against("inventory", "m1", None)


def test_an_answer_counts_against_every_other_message_of_that_neighbour() -> None:
    evidence = Evidence(FakeClock())
    evidence.add("inventory", "m1")
    assert evidence.against("inventory", "m2", None)
    assert not evidence.against("inventory", "m1", None)
    assert not evidence.against("reservation_api", "m2", None)


def test_an_older_answer_to_another_message_is_not_hidden_by_newer_ones_to_the_same() -> None:
    clock = FakeClock()
    evidence = Evidence(clock)
    evidence.add("inventory", "m1")
    for _ in range(5):
        clock.advance(1)
        evidence.add("inventory", "m2")
    assert evidence.against("inventory", "m2", None)


def test_evidence_is_fresh_for_a_minute() -> None:
    clock = FakeClock()
    evidence = Evidence(clock)
    evidence.add("inventory", "m1")
    clock.advance(FRESH)
    assert evidence.against("inventory", "m2", FRESH)
    clock.advance(0.001)
    assert not evidence.against("inventory", "m2", 2 * FRESH)
