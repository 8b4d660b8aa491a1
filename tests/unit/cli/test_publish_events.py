"""The events that `publish` sends: samples, lines of a file, and entries for a bus."""

import json
import random
from collections.abc import Sequence

import boto3
import pytest
from botocore.stub import Stubber

from reservation_worker.cli import operator_aws, publish
from reservation_worker.cli.publish.command import entries_of
from reservation_worker.cli.publish.samples import samples
from reservation_worker.cli.publish.targets import BusTarget, QueueTarget
from reservation_worker.config.settings import Settings
from reservation_worker.errors import InvalidEvent, OperationError
from reservation_worker.events.parse import Event, parse
from reservation_worker.simulator.story.samples import SEEDED_TIME, TYPES
from reservation_worker.simulator.story.variants import variants
from reservation_worker.sqs.batches import BatchFailure

QUEUE, BUS = QueueTarget("http://localhost/q"), BusTarget("tickets")
EVENT = '{"type":"reservation.expired","source":"s","trace_id":"t","detail":{"reservation_id":"r"}}'


def make(count: int, seed: int = 1, types: Sequence[str] = TYPES, **more: object) -> list[str]:
    found = samples(count, types, SEEDED_TIME, random.Random(seed), **more)  # type: ignore[arg-type]
    return [sample.body for sample in found]


# samples


def test_the_worker_understands_every_sample_of_every_type_and_variant() -> None:
    seen = set()
    for kind in TYPES:
        names = variants(json.loads(make(1, types=[kind])[0]))
        for name in names:
            (body,) = make(1, types=[kind], variant=name)
            event = parse(body)
            assert isinstance(event, Event)
            assert event.kind.event_type == kind
        assert make(len(names), types=[kind], variant="all") == [
            make(number, types=[kind], variant=name)[-1] for number, name in enumerate(names, 1)
        ]
        seen |= set(names)
    assert seen == set(publish._VARIANTS)


def test_the_same_seed_makes_the_same_samples_and_no_two_runs_share_an_id() -> None:
    assert make(5, seed=3) == make(5, seed=3)
    ids = [event.reservation_id for seed in range(50) for event in map(parse, make(5, seed))]
    assert len(set(ids)) == len(ids)
    assert parse(make(2, prefix="mine")[1]).reservation_id == "mine-2"


def test_a_bus_gets_no_variant_that_never_came_by_one() -> None:
    for body in make(60, by_bus=True, variant="all"):
        assert BUS.entry(body)["DetailType"]
    with pytest.raises(ValueError, match="by a bus"):
        make(1, by_bus=True, variant="sns")


# lines


def test_each_wrong_line_is_named_with_its_mistake() -> None:
    content = f'{EVENT}\n\nhello\n{{"type":"x"}}\n'.encode() + b"\xff\n"
    with pytest.raises(OperationError) as error:
        entries_of(content, QUEUE)
    head, *named = str(error.value).splitlines()
    assert head.startswith("3 of 4 lines are wrong, and nothing was sent")
    assert [line.strip().partition(":")[0] for line in named] == ["line 3", "line 4", "line 5"]
    assert "'x' is unknown" in named[1]


def test_force_sends_every_line_that_can_be_sent_and_no_other() -> None:
    assert [dict(entry) for entry in entries_of(b"hello\n\n{}", QUEUE, force=True)] == [
        {"MessageBody": "hello"},
        {"MessageBody": "{}"},
    ]
    for content, target in ((b"\xff", QUEUE), (b"x" * 1_048_577, QUEUE), (b"hello", BUS)):
        with pytest.raises(OperationError, match="line 1"):
            entries_of(content, target, force=True)


def test_a_line_separator_inside_a_string_ends_no_line() -> None:
    body = EVENT.replace('"s"', '"a\u2028b"')
    assert len(entries_of(body.encode(), QUEUE)) == 1


# entries for a bus


def test_a_bus_makes_the_envelope_and_the_trace_goes_into_the_detail() -> None:
    assert BUS.entry(EVENT) == {
        "EventBusName": "tickets",
        "Source": "s",
        "DetailType": "reservation.expired",
        "Detail": '{"trace_id": "t", "reservation_id": "r"}',
    }


def test_a_lone_surrogate_that_the_worker_ignores_goes_through_a_bus() -> None:
    body = EVENT.replace('"r"', r'"r", "user_id": "\ud800"')
    (entry,) = entries_of(body.encode(), BUS)
    assert r'"user_id": "\ud800"' in entry["Detail"]


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("[]", "detail"),
        ('{"type":"reservation.expired","reservationId":"r"}', "detail"),
        ('{"type":"t","detail":{}}', "source"),
        ('{"source":"s","detail":{}}', "type"),
        (r'{"source":"\ud800","type":"t","detail":{}}', "source"),
    ],
)
def test_an_event_that_a_bus_does_not_take_is_refused_with_a_reason(
    body: str, missing: str
) -> None:
    with pytest.raises(InvalidEvent, match=missing):
        BUS.entry(body)


def test_only_the_entries_that_a_bus_may_take_later_are_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = boto3.Session("x", "x", region_name="ap-northeast-2")
    client = session.client("events")
    monkeypatch.setattr(session, "client", lambda service: client)
    monkeypatch.setattr(operator_aws, "session", lambda region: session)
    target = BusTarget("tickets")
    target.connect(Settings.from_mapping({"SQS_QUEUE_URL": "http://localhost/q"}))
    entries_answer = [
        {"EventId": "1"},
        {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"},
        {"ErrorCode": "MalformedDetail"},
    ]
    with Stubber(client) as aws:  # no emulator refuses a single entry
        aws.add_response("put_events", {"FailedEntryCount": 2, "Entries": entries_answer})
        failures = target.send([BUS.entry(EVENT)] * 3)
    assert failures == {
        1: BatchFailure("ThrottlingException", sender_fault=False, message="slow down"),
        2: BatchFailure("MalformedDetail", sender_fault=True),
    }
