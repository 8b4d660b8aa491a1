"""The simulated reservation-api over HTTP, and its faults."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservation_api import ReservationApi
from tests.integration.simulator.inventory import HALL, WAIT


class Api:
    """The server and a client of it."""

    def __init__(self, server: ReservationApi) -> None:
        self.server = server
        self.faults = server.faults
        self.session = requests.Session()
        self.session.trust_env = False

    def url(self, rid: str) -> str:
        return f"{self.server.base}/internal/reservations/{rid}"

    def patch(
        self, rid: str, status: str, timeout: float = WAIT, **facts: str
    ) -> requests.Response:
        return self.session.patch(
            self.url(rid),
            json={"status": status, **facts},
            headers={"Idempotency-Key": f"status:{status}:{rid}", "x-trace-id": "trace"},
            timeout=timeout,
        )

    def get(self, rid: str) -> requests.Response:
        return self.session.get(self.url(rid), timeout=WAIT)


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    server = ReservationApi(ledger.reservations)
    server.start()
    yield Api(server)
    server.stop()


def test_a_hold_is_confirmed_and_a_replayed_key_gets_the_stored_answer(api: Api) -> None:
    first = api.patch("rsv_1", "CONFIRMED", payment_intent_id="pay_1")
    again = api.patch("rsv_1", "CONFIRMED", payment_intent_id="pay_2")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert again.json()["payment_intent_id"] == "pay_1"


@pytest.mark.parametrize("number", range(1, 9))
def test_a_final_state_is_a_conflict_that_names_it(api: Api, number: int) -> None:
    rid = f"rsv_{number}"
    api.patch(rid, "CONFIRMED", payment_intent_id="pay_1")
    answer = api.patch(rid, "EXPIRED")
    assert answer.status_code in (400, 409)
    body = answer.json()
    assert body["error"]["code"] == "RESERVATION_ALREADY_CONFIRMED"
    assert body["error"]["traceId"] == "trace"
    assert body["payment_intent_id"] == "pay_1"
    assert body.get("status", "CONFIRMED") == "CONFIRMED"


def test_a_reservation_is_shown_in_snake_or_camel_case(api: Api) -> None:
    shown = [api.get(f"rsv_{number}").json() for number in range(1, 9)]
    assert {row.get("event_id") or row.get("eventId") for row in shown} == {HALL}
    assert {"seat_ids" in row for row in shown} == {True, False}
    assert all(row["status"] == "HOLD" and row["quantity"] == 2 for row in shown)


def test_an_unknown_reservation_is_a_404_with_its_code(api: Api) -> None:
    for answer in (api.get("rsv_x"), api.patch("rsv_x", "EXPIRED")):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "RESERVATION_NOT_FOUND"


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b'{"status": "HOLD"}'])
def test_a_patch_that_names_no_final_state_is_a_400(api: Api, body: bytes) -> None:
    assert api.session.patch(api.url("rsv_1"), data=body, timeout=WAIT).status_code == 400


def test_the_api_down_closes_the_port_and_comes_back_on_the_same(api: Api) -> None:
    port = api.server.port
    for _ in range(3):
        assert api.get("rsv_1").status_code == 200
        api.server.stop()
        with pytest.raises(requests.ConnectionError):
            api.get("rsv_1")
        api.server.start()
    assert api.get("rsv_1").status_code == 200
    assert api.server.port == port


def test_api_calls_hang_until_cleared_and_then_take_effect(
    api: Api, pool: ThreadPoolExecutor
) -> None:
    api.faults.hang(["rsv_1"])
    hanging = pool.submit(api.patch, "rsv_1", "EXPIRED")
    assert api.faults.wait_hanging(1, WAIT)
    assert Api(api.server).get("rsv_2").status_code == 200
    api.faults.clear()
    assert hanging.result(WAIT).ok


def test_a_caller_that_hangs_up_leaves_no_effect_behind(api: Api, ledger: Ledger) -> None:
    api.faults.hang()
    with pytest.raises(requests.Timeout):
        api.patch("rsv_1", "EXPIRED", timeout=0.2)
    api.session.close()
    assert api.faults.wait_idle(WAIT)
    api.faults.clear()
    assert ledger.dump()["reservations"]["rsv_1"]["status"] == "HOLD"


def test_hanging_calls_do_not_keep_the_api_from_going_down(
    api: Api, pool: ThreadPoolExecutor, ledger: Ledger
) -> None:
    api.faults.hang()
    hanging = pool.submit(api.patch, "rsv_1", "EXPIRED")
    assert api.faults.wait_hanging(1, WAIT)
    api.server.stop()
    assert isinstance(hanging.exception(WAIT), requests.ConnectionError)
    assert ledger.dump()["reservations"]["rsv_1"]["status"] == "HOLD"


def test_a_set_number_of_calls_get_another_answer_and_the_next_one_the_truth(api: Api) -> None:
    api.faults.answer({"status": 429, "headers": {"Retry-After": "7"}}, count=2)
    api.faults.answer({"status": 200, "body": "<html>"})
    api.faults.answer({"status": 409, "body": {"status": "HOLD"}})
    for _ in range(2):
        answer = api.patch("rsv_1", "EXPIRED")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert api.patch("rsv_1", "EXPIRED").text == "<html>"
    assert api.patch("rsv_1", "EXPIRED").json() == {"status": "HOLD"}
    assert api.patch("rsv_1", "EXPIRED").ok
    assert api.get("rsv_1").json()["status"] == "EXPIRED"


def test_an_answer_can_be_spoiled_after_the_effect(api: Api) -> None:
    api.faults.answer({"status": 502}, after=True)
    assert api.patch("rsv_1", "EXPIRED").status_code == 502
    assert api.get("rsv_1").json()["status"] == "EXPIRED"


def test_the_api_records_its_requests_and_their_headers(api: Api) -> None:
    api.patch("rsv_1", "EXPIRED")
    (call,) = api.server.calls.rows()
    assert (call["method"], call["reservation_id"]) == ("PATCH", "rsv_1")
    assert call["headers"]["idempotency-key"] == "status:EXPIRED:rsv_1"
    assert call["headers"]["x-trace-id"] == "trace"
    assert call["body"] == {"status": "EXPIRED"}


def test_an_api_that_wants_a_token_answers_401_on_every_path_until_it_gets_it(
    ledger: Ledger,
) -> None:
    server = ReservationApi(ledger.reservations, token="secret")
    server.start()
    api = Api(server)
    try:
        for answer in (
            api.patch("rsv_1", "EXPIRED"),
            api.get("rsv_1"),
            api.session.get(f"{server.base}/nowhere", timeout=WAIT),
        ):
            assert (answer.status_code, answer.content) == (401, b"")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        api.session.headers["Authorization"] = "Bearer secret"
        assert api.get("rsv_1").json()["status"] == "HOLD"
    finally:
        server.stop()
