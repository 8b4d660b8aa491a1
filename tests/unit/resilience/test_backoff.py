"""How long a message waits for its next try, and how many it gets (docs/contract.md#retry)."""

import pytest

from reservation_worker.resilience.backoff import RetryPolicy

BASE_MS = 1000
MAX_RETRIES = 5


@pytest.mark.parametrize(
    ("receive_count", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 16), (30, 16)]
)
def test_the_wait_doubles_with_every_receive_up_to_the_step_of_max_retries(
    receive_count: int, seconds: int
) -> None:
    assert RetryPolicy(BASE_MS, MAX_RETRIES).delay(receive_count) == seconds


@pytest.mark.parametrize(
    ("max_retries", "longest"), [(0, 1), (1, 1), (2, 2), (3, 4), (8, 128), (10, 512)]
)
def test_the_cap_moves_with_max_retries(max_retries: int, longest: int) -> None:
    assert RetryPolicy(BASE_MS, max_retries).delay(99) == longest


@pytest.mark.parametrize(
    ("base_ms", "receive_count", "seconds"),
    [(1, 1, 1), (250, 1, 1), (250, 3, 1), (250, 4, 2), (1001, 1, 2), (1500, 1, 2), (1500, 2, 3)],
)
def test_a_part_of_a_second_is_rounded_up(base_ms: int, receive_count: int, seconds: int) -> None:
    assert RetryPolicy(base_ms, MAX_RETRIES).delay(receive_count) == seconds


@pytest.mark.parametrize(
    ("receive_count", "asked", "seconds"),
    [
        (1, 0.0, 1),
        (4, 3.0, 8),  # shorter than our own: ours
        (4, 8.0, 8),
        (1, 7.0, 7),  # longer: the neighbour's
        (1, 7.2, 8),
        (5, 120.0, 120),
        (1, 900.0, 900),
        (1, 901.0, 900),  # never longer than 900 s
        (1, 1e300, 900),
        (1, float("inf"), 900),
    ],
)
def test_retry_after_wins_where_it_is_longer_and_at_most_900_s(
    receive_count: int, asked: float, seconds: int
) -> None:
    assert RetryPolicy(BASE_MS, MAX_RETRIES).delay(receive_count, asked) == seconds


def test_an_own_delay_beyond_900_s_is_not_shortened_by_retry_afters_limit() -> None:
    assert RetryPolicy(120_000, MAX_RETRIES).delay(5, 900.0) == 1920


def test_the_wait_is_never_one_that_sqs_refuses() -> None:
    assert RetryPolicy(60_000, 20).delay(20) == 12 * 60 * 60


def test_a_receive_count_of_zero_waits_as_the_first() -> None:
    assert RetryPolicy(4000, MAX_RETRIES).delay(0) == 4


@pytest.mark.parametrize(
    ("max_retries", "max_receive_count", "expected"),
    [
        (5, 30, 6),  # as shipped: the retry budget decides
        (5, 6, 6),
        (5, 3, 3),  # deployed today: SQS would move the message after the third
        (5, 1, 1),
        (5, None, 6),  # a queue without a redrive policy
        (0, 30, 1),
        (40, 30, 30),
    ],
)
def test_tries_are_max_retries_plus_one_but_never_more_than_max_receive_count(
    max_retries: int, max_receive_count: int | None, expected: int
) -> None:
    assert RetryPolicy(BASE_MS, max_retries, lambda: max_receive_count).tries() == expected
