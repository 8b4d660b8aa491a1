"""The verb `dlq` asks reservation-api for the states of reservations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from responses import RequestsMock, matchers

from reservation_worker.cli.dlq.states import ask
from reservation_worker.config.settings import Settings

BASE = "http://api.test:8010/v1"


@pytest.fixture
def http() -> Iterator[RequestsMock]:
    with RequestsMock() as mock:
        yield mock


def settings(timeout: str = "10", **more: str) -> Settings:
    values = {"SQS_QUEUE_URL": "http://sqs.test/1/q", "RESERVATION_API_BASE": BASE, **more}
    return Settings.from_mapping(values | {"CALL_TIMEOUT": timeout})


def url(one: str) -> str:
    return f"{BASE}/internal/reservations/{one}"


def test_a_state_an_unknown_reservation_and_a_failed_call_differ(http: RequestsMock) -> None:
    http.get(url("known"), json={"status": "CONFIRMED", "seat_ids": ["A1"]})
    http.get(url("unknown"), status=404, json={"error": {"code": "RESERVATION_NOT_FOUND"}})
    http.get(url("failing"), status=503, body="busy")
    http.get(url("gone"), body=requests.ConnectionError("reset"))
    http.get(url("slow"), body=requests.ReadTimeout())
    http.get(url("odd"), body="<html>")
    http.get(url("elsewhere"), status=404, body="<h1>Not Found</h1>")
    http.get(url("gateway"), status=404, json={"message": "no route"})
    ids = ["known", "unknown", "failing", "gone", "slow", "odd", "elsewhere", "gateway"]
    states = ask(settings(), ids)
    assert states["known"].reservation is not None
    assert states["known"].reservation.status == "CONFIRMED"
    assert (states["unknown"].reservation, states["unknown"].error) == (None, None)
    for name, words in (
        ("failing", "HTTP 503 'busy'"),
        ("gone", "does not answer: reset"),
        ("slow", "nothing whole came within 5 s"),
        ("odd", "HTTP 200 '<html>'"),
        # Only reservation-api's own 404 means that there is no such reservation.
        ("elsewhere", "answers 404 without RESERVATION_NOT_FOUND"),
        ("gateway", "answers 404 without RESERVATION_NOT_FOUND"),
    ):
        assert words in (states[name].error or "")


def test_a_reservation_is_asked_for_once_and_in_the_shorter_of_both_limits(
    http: RequestsMock,
) -> None:
    bound = matchers.request_kwargs_matcher({"timeout": 2.5})
    http.get(url("rsv_1"), json={"status": "HOLD"}, match=[bound])
    assert list(ask(settings("2.5"), ["rsv_1", "rsv_1"])) == ["rsv_1"]
    assert len(http.calls) == 1


def test_the_bearer_token_goes_with_every_question(http: RequestsMock, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a.bearer.token\n")
    sent = matchers.header_matcher({"Authorization": "Bearer a.bearer.token"})
    http.get(url("rsv_1"), json={"status": "HOLD"}, match=[sent])
    asked = settings(RESERVATION_API_TOKEN_FILE=str(tmp_path / "token"))
    assert ask(asked, ["rsv_1"])["rsv_1"].error is None


def test_an_api_that_is_down_is_not_asked_about_every_reservation(http: RequestsMock) -> None:
    ids = [f"rsv_{number}" for number in range(200)]
    http.assert_all_requests_are_fired = False
    for one in ids:
        http.get(url(one), body=requests.ConnectionError("refused"))
    states = ask(settings(), ids)
    assert all("refused" in (state.error or "") for state in states.values())
    # Ten failures end it, and seven calls may be under way by then.
    assert len(http.calls) <= 17
