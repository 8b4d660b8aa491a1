"""Hostile event fields, and the requests that a real worker makes of them.

Every hostile value goes into every field. The worker talks to the real neighbours through taps
that see each request whole.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from tests.security.taps import Seen, Taps, tapped
from tests.world import World, until

VALUES = {
    "path up": "../victim",
    "path up, encoded": "%2e%2e%2fvictim",
    "path up, other slash": "..\\victim",
    "path down": "victim/../victim",
    "full width": "\uff0e\uff0e\uff0fvictim",
    "absolute": "http://127.0.0.1:1/victim",
    "another host": "//127.0.0.1:1/victim",
    "query": "victim?status=CONFIRMED",
    "fragment": "victim#x",
    "parameter": "victim;x=1",
    "header": "victim\r\nX-Injected: yes",
    "header, bare LF": "victim\nX-Injected: yes",
    "header, bare CR": "victim\rX-Injected: yes",
    "second request": "v HTTP/1.1\r\n\r\nDELETE /internal/reservations/victim HTTP/1.1\r\n\r\n",
    "NUL": "victim\x00",
    "escape": "\x1b[2Jvictim",
    "DEL": "victim\x7f",
    "next line": "victim\x85X-Injected: yes",
    "line separator": "victim\u2028X-Injected: yes",
    "right to left": "\u202evictim",
    "not ASCII": "v\u00edctim \U0001f32e",
    "blank": " ",
    "blanks around": " victim ",
    "too long for a header": "v" * 100_000,
}
# Values that a message attribute may hold (SQS refuses the other control characters).
ATTRIBUTE_VALUES = {k: v for k, v in VALUES.items() if not re.search("[\x00-\x08\x0b-\x1f]", v)}
EXPIRED, APPROVED, FAILED = "reservation.expired", "payment.approved", "payment.failed"

# By field: the type of event that carries it, and its place.
IN_DETAIL = {
    "reservation_id": EXPIRED,
    "event_id": EXPIRED,
    "seat_ids": EXPIRED,
    "payment_intent_id": APPROVED,
    "order_id": APPROVED,
    "user_id": APPROVED,
    "error_code": FAILED,
    "traceparent": EXPIRED,
    "tracestate": EXPIRED,
    "trace_id": APPROVED,
}
ON_TOP = {"id": EXPIRED, "type": EXPIRED, "detail-type": EXPIRED, "trace_id": FAILED}
ATTRIBUTES = ("TraceId", "traceparent", "tracestate", "Idempotency-Key")

PATH = re.compile(r"/internal/reservations/([A-Za-z0-9_]+)")
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")
PATCH_HEADERS = {
    "Host", "Accept-Encoding", "Content-Length", "User-Agent", "Content-Type", "Idempotency-Key",
    "traceparent", "x-trace-id",
}  # fmt: skip
GET_HEADERS = PATCH_HEADERS - {"Content-Length", "Content-Type", "Idempotency-Key"}
METADATA = {"traceparent", "x-trace-id", "user-agent"}
_SERVICE = "/reservation.v1.InventoryService"
REQUESTS: dict[str, tuple[Any, str]] = {
    f"{_SERVICE}/ReleaseHold": (pb.ReleaseHoldRequest, "release"),
    f"{_SERVICE}/CommitReservation": (pb.CommitReservationRequest, "commit"),
}


@dataclass(frozen=True)
class Case:
    """One message: the hostile value, its place, and the reservation."""

    place: str
    name: str
    value: str
    reservation_id: str
    kind: str
    body: dict[str, Any]
    attributes: dict[str, str]
    trace_header: str = ""

    @property
    def refused(self) -> bool:
        """Invalid by the contract: an id that is not safe in a URL, or an unknown type."""
        return self.place in ("detail reservation_id", "top type", "top detail-type")


def make_case(place: str, name: str, value: str, number: int) -> Case:
    where, _, field = place.partition(" ")
    kind = {"detail": IN_DETAIL, "top": ON_TOP}.get(where, {}).get(field, EXPIRED)
    rid = f"rsv_{number}"
    detail: dict[str, Any] = {"reservation_id": rid, "event_id": "show", "seat_ids": [f"S-{rid}"]}
    if kind != EXPIRED:
        detail["payment_intent_id"] = f"pay_{rid}"
    body: dict[str, Any] = {"id": "m", "type": kind, "detail": detail}
    attributes, header = {}, ""
    if where == "attribute":
        attributes[field] = value
    elif where == "system":
        header = value
    elif where == "detail":
        detail[field] = [value] if field == "seat_ids" else value
    else:
        if field == "detail-type":
            del body["type"]
        body[field] = value
    return Case(place, name, value, rid, kind, body, attributes, header)


def all_cases() -> list[Case]:
    places = [(f"detail {name}", VALUES) for name in IN_DETAIL]
    places += [(f"top {name}", VALUES) for name in ON_TOP]
    places += [(f"attribute {name}", ATTRIBUTE_VALUES) for name in ATTRIBUTES]
    places += [("system AWSTraceHeader", ATTRIBUTE_VALUES)]
    pairs = [(place, name) for place, values in places for name in values]
    return [make_case(place, name, VALUES[name], n) for n, (place, name) in enumerate(pairs)]


@dataclass
class Run:
    """The requests, letters and states after all cases were settled."""

    cases: list[Case]
    taps: Taps
    dead: dict[str, Any]
    reservations: dict[str, Any]

    def patched(self, case: Case) -> Seen:
        """The one PATCH for this case."""
        own = ("PATCH", f"/internal/reservations/{case.reservation_id}")
        [found] = [seen for seen in self.taps.http if (seen.method, seen.target) == own]
        return found

    def asked(self, case: Case) -> tuple[Seen, Any]:
        """The one call of inventory for this case, and its message."""
        read = ((seen, REQUESTS[seen.target][0].FromString(seen.body)) for seen in self.taps.grpc)
        [found] = [pair for pair in read if pair[1].reservation_id == case.reservation_id]
        return found

    def at(self, place: str) -> list[Case]:
        found = [case for case in self.cases if case.place == place]
        assert found
        return found


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    cases = all_cases()
    with (
        World() as world,
        tapped(world.neighbours.reservation_base, world.neighbours.inventory_address) as taps,
    ):
        ids = [case.reservation_id for case in cases]
        world.neighbours.seed(Record(rid, "show", (f"S-{rid}",)) for rid in [*ids, "victim"])
        sent = {}
        for case in cases:
            answer = world.client.send_message(
                QueueUrl=world.queue_url,
                MessageBody=json.dumps(case.body),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": text}
                    for name, text in case.attributes.items()
                },
                MessageSystemAttributes={
                    "AWSTraceHeader": {"DataType": "String", "StringValue": case.trace_header}
                }
                if case.trace_header
                else {},
            )
            sent[answer["MessageId"]] = case.reservation_id
        world.run_worker(
            RESERVATION_API_BASE=taps.http_base,
            INVENTORY_GRPC_ADDR=taps.grpc_address,
            MAX_RETRIES="0",
        )
        until(world.empty, 60, "every message is settled")
        dead = {sent[letter.source_message_id]: letter for letter in world.dead_letters()}
        yield Run(cases, taps, dead, world.neighbours.ledger()["reservations"])


def test_no_request_leaves_the_path_of_its_reservation(run: Run) -> None:
    assert run.taps.unreadable == []
    assert {seen.method for seen in run.taps.http} <= {"PATCH", "GET"}
    asked = set()
    for seen in run.taps.http:
        path = PATH.fullmatch(seen.target)
        assert path, seen.target
        asked.add(path[1])
    assert asked == {case.reservation_id for case in run.cases if not case.refused}


def test_no_field_adds_a_header_or_takes_one_away(run: Run) -> None:
    for seen in run.taps.http:
        names = sorted(name for name, _ in seen.headers)
        assert names == sorted(PATCH_HEADERS if seen.method == "PATCH" else GET_HEADERS)
    for seen in run.taps.grpc:
        assert sorted(name for name, _ in seen.headers) == sorted(METADATA)


def test_every_header_is_short_and_printable_and_names_its_own_reservation(run: Run) -> None:
    for seen in [*run.taps.http, *run.taps.grpc]:
        headers = dict(seen.headers)
        assert all(text.isascii() and text.isprintable() for text in headers.values())
        assert TRACEPARENT.fullmatch(headers["traceparent"])
        assert len(headers["x-trace-id"]) <= 128
        if seen.method == "PATCH":
            state = json.loads(seen.body)["status"]
            own = seen.target.rpartition("/")[2]
            assert headers["Idempotency-Key"] == f"status:{state}:{own}"


def test_only_two_methods_of_inventory_are_called_and_never_for_another_reservation(
    run: Run,
) -> None:
    allowed = {case.reservation_id for case in run.cases if not case.refused}
    for seen in run.taps.grpc:
        message, verb = REQUESTS[seen.target]
        request = message.FromString(seen.body)
        assert request.reservation_id in allowed
        assert request.idempotency_key == f"{verb}:{request.reservation_id}"


def test_the_reservation_named_in_hostile_fields_is_untouched(run: Run) -> None:
    assert run.reservations["victim"]["status"] == "HOLD"


@pytest.mark.parametrize("place", ["detail reservation_id", "top type", "top detail-type"])
def test_an_unsafe_id_or_type_is_dead_lettered_and_changes_nothing(run: Run, place: str) -> None:
    for case in run.at(place):
        letter = run.dead[case.reservation_id]
        assert letter.reason == "invalid_payload", case.name
        assert letter.error.isprintable()
        assert len(letter.error) < 250
        assert run.reservations[case.reservation_id]["status"] == "HOLD"


def test_everything_else_is_settled_and_not_dead_lettered(run: Run) -> None:
    assert set(run.dead) == {case.reservation_id for case in run.cases if case.refused}
    final = {EXPIRED: "EXPIRED", APPROVED: "CONFIRMED", FAILED: "CANCELLED"}
    for case in run.cases:
        if not case.refused:
            status = run.reservations[case.reservation_id]["status"]
            assert status == final[case.kind], f"{case.place}, {case.name}"


@pytest.mark.parametrize("field", ["payment_intent_id", "order_id", "error_code"])
def test_the_fields_of_the_patch_arrive_unchanged(run: Run, field: str) -> None:
    for case in run.at(f"detail {field}"):
        assert json.loads(run.patched(case).body)[field] == case.value, case.name


@pytest.mark.parametrize("field", ["event_id", "seat_ids", "payment_intent_id", "user_id"])
def test_the_fields_of_the_inventory_call_arrive_unchanged(run: Run, field: str) -> None:
    for case in run.at(f"detail {field}"):
        received = getattr(run.asked(case)[1], field)
        assert received == ([case.value] if field == "seat_ids" else case.value), case.name


@pytest.mark.parametrize("place", ["detail trace_id", "top trace_id", "attribute TraceId"])
def test_a_trace_id_is_forwarded_only_if_it_can_be_a_header(run: Run, place: str) -> None:
    for case in run.at(place):
        value = case.value
        fits = value.isascii() and value.isprintable() and len(value) <= 128
        for seen in (run.patched(case), run.asked(case)[0]):
            given = dict(seen.headers)["x-trace-id"]
            if fits and value == value.strip():
                assert given == value
            else:
                assert re.fullmatch("[0-9a-f]{32}", given), case.name
