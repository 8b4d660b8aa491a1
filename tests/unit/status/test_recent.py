"""The last deliveries: bounded, newest first, failures apart."""

from dataclasses import replace

from reservation_worker.outcome import Completed
from reservation_worker.status.recent import KEPT, LONGEST, RecentOutcomes


def completed(number: int, counted: str = "success") -> Completed:
    return Completed(
        message_id=f"m{number}",
        label="expired",
        event_type="reservation.expired",
        reservation_id=f"rsv_{number}",
        event_id=None,
        payment_intent_id=None,
        user_id=None,
        trace_id=None,
        counted=counted,
        note="",
        attempt=1,
        seconds=0.1,
        at=1_767_323_045.0,
    )


def test_the_newest_come_first_and_no_more_than_the_ring_holds() -> None:
    recent = RecentOutcomes()
    for number in range(KEPT + 5):
        recent.add(completed(number))
    seen = recent.snapshot()
    assert [one.message_id for one in seen.deliveries[:2]] == [f"m{KEPT + 4}", f"m{KEPT + 3}"]
    assert len(seen.deliveries) == KEPT
    assert (seen.total, seen.total_failures, seen.failures) == (KEPT + 5, 0, ())


def test_a_failure_is_kept_however_many_successes_follow() -> None:
    recent = RecentOutcomes()
    recent.add(completed(0, "failed"))
    for number in range(1, KEPT + 1):
        recent.add(completed(number))
    assert [one.message_id for one in recent.snapshot().failures] == ["m0"]


def test_a_message_given_back_is_shown_but_not_counted_yet() -> None:
    recent = RecentOutcomes()
    recent.add(completed(0, "retried"))
    recent.add(completed(0, "invalid_payload"))
    seen = recent.snapshot()
    assert [one.counted for one in seen.failures] == ["invalid_payload", "retried"]
    assert (seen.total, seen.total_failures) == (1, 1)


def test_the_last_dead_letter_is_known_however_many_retries_follow() -> None:
    recent = RecentOutcomes()
    assert recent.snapshot().last_dead_letter_at is None
    recent.add(completed(0, "failed"))
    for number in range(1, KEPT + 1):
        recent.add(replace(completed(number, "retried"), at=1_800_000_000.0))
    seen = recent.snapshot()
    assert {one.counted for one in seen.failures} == {"retried"}
    assert seen.last_dead_letter_at == completed(0).at


def test_texts_of_a_megabyte_are_not_kept_whole() -> None:
    recent = RecentOutcomes()
    text = "x" * 2**20
    recent.add(replace(completed(0, "failed"), event_id=text, user_id=text, error=text))
    [kept] = recent.snapshot().failures
    assert [len(one or "") for one in (kept.event_id, kept.user_id, kept.error)] == [LONGEST] * 3
    assert recent.snapshot().deliveries == (kept,)
    assert kept.reservation_id == "rsv_0"
