"""The bearer token of reservation-api, over real HTTP connections."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.cli.doctor import reservation_api
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import ConfigurationError
from tests.unit.clients.http_neighbour import (
    CALL,
    DONE,
    EXPIRE,
    PERMANENT,
    TRANSIENT,
    Neighbour,
    Request,
    raises,
)

FIRST, SECOND = "eyJhbGciOiJSUzI1NiJ9.first.aaaa", "eyJhbGciOiJSUzI1NiJ9.second.bbbb"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{FIRST}\n")
    return file


@pytest.fixture
def bearer(neighbour: Neighbour, path: Path) -> Iterator[ReservationClient]:
    made = ReservationClient(neighbour.base, 2, str(path))
    yield made
    made.close()


def only(token: str) -> Callable[[Request], None]:
    def answer(request: Request) -> None:
        if request.headers["Authorization"] == f"Bearer {token}":
            request.reply(200, b"{}")
        else:
            request.reply(401, WWW_Authenticate="Bearer")

    return answer


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.update_status(EXPIRE, CALL),
        lambda client: client.get("rsv_1", CALL),
        lambda client: client.probe(10.0),
    ],
    ids=["PATCH", "GET", "probe"],
)
def test_every_request_carries_the_token(
    neighbour: Neighbour, bearer: ReservationClient, ask: Callable[[ReservationClient], Any]
) -> None:
    neighbour.says(200, {})
    ask(bearer)
    assert neighbour.authorizations == [f"Bearer {FIRST}"]


def test_without_a_file_no_token_is_sent(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(401)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert neighbour.authorizations == [None]


def test_a_client_without_its_token_is_not_made(path: Path) -> None:
    with pytest.raises(ConfigurationError):
        ReservationClient("http://127.0.0.1:1", 1, f"{path}.missing")


def test_a_token_that_was_replaced_is_sent_from_then_on(
    neighbour: Neighbour, bearer: ReservationClient, path: Path
) -> None:
    neighbour.says(204)
    bearer.update_status(EXPIRE, CALL)
    path.write_text(SECOND)
    bearer.update_status(EXPIRE, CALL)
    assert neighbour.authorizations == [f"Bearer {FIRST}", f"Bearer {SECOND}"]


def test_a_refused_token_is_replaced_in_the_same_call_if_the_file_has_another(
    neighbour: Neighbour, bearer: ReservationClient, path: Path
) -> None:
    accept = only(SECOND)

    def expires(request: Request) -> None:
        path.write_text(SECOND)  # while the request is under way
        accept(request)

    neighbour.answer = expires
    assert bearer.update_status(EXPIRE, CALL) == DONE
    assert neighbour.authorizations == [f"Bearer {FIRST}", f"Bearer {SECOND}"]


def test_a_refused_token_is_not_sent_again_while_the_file_has_no_other(
    neighbour: Neighbour, bearer: ReservationClient
) -> None:
    neighbour.says(401)
    raises(TRANSIENT, lambda: bearer.update_status(EXPIRE, CALL))
    assert neighbour.authorizations == [f"Bearer {FIRST}"]


def test_a_second_refusal_is_final(
    neighbour: Neighbour, bearer: ReservationClient, path: Path
) -> None:
    def refuse(request: Request) -> None:
        path.write_text(f"{SECOND}{len(neighbour.requests)}")
        request.reply(401)

    neighbour.answer = refuse
    raises(TRANSIENT, lambda: bearer.update_status(EXPIRE, CALL))
    assert len(neighbour.requests) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_does_not_follow_a_redirect(
    neighbour: Neighbour, bearer: ReservationClient, status: int
) -> None:
    with Neighbour() as elsewhere:
        elsewhere.says(200, {})
        neighbour.says(status, Location=f"{elsewhere.base}/internal/reservations/rsv_1")
        raises(TRANSIENT, lambda: bearer.update_status(EXPIRE, CALL))
        raises(TRANSIENT, lambda: bearer.get("rsv_1", CALL))
        assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [400, 503])
@pytest.mark.parametrize("before", ["", "x" * 70])
def test_an_answer_that_echoes_the_token_does_not_bring_it_into_the_error(
    neighbour: Neighbour, bearer: ReservationClient, status: int, before: str
) -> None:
    neighbour.says(status, f"{before} you sent Bearer {FIRST}".encode())
    kind = PERMANENT if status == 400 else TRANSIENT
    text = str(raises(kind, lambda: bearer.update_status(EXPIRE, CALL)))
    assert "eyJ" not in text


# Doctor's finding on a 401.


@pytest.mark.parametrize(
    ("challenge", "has_token", "said"),
    [
        ("Bearer", False, "it requires a bearer token, and none is sent"),
        ("bearer realm=x", False, "it requires a bearer token, and none is sent"),
        ("Basic", False, "it requires credentials that the worker does not have"),
        ("Bearer", True, "it refuses the token in"),
    ],
)
def test_doctor_explains_a_401(
    neighbour: Neighbour, path: Path, challenge: str, has_token: bool, said: str
) -> None:
    neighbour.says(401, WWW_Authenticate=challenge)
    known = {
        "reservation_api_base": neighbour.base,
        "reservation_api_token_file": str(path) if has_token else None,
    }
    [row] = reservation_api.reservation_api(known)
    assert row.status == "failure"
    assert said in row.detail
    assert "RESERVATION_API_TOKEN_FILE" in row.advice
    assert neighbour.authorizations == [f"Bearer {FIRST}" if has_token else None]
