"""k8s/aws/queues.yaml as a stack: a worker settles the events of the bus."""

import json

import pytest
import requests

from reservation_worker.events.kinds import DETAIL_TYPES
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.sqs import provision
from reservation_worker.simulator.story.samples import TYPES
from reservation_worker.simulator.story.variants import variants
from tests.deploy.cloud import BUS, Cloud
from tests.deploy.tools import rendered
from tests.world import until

# Forms that reach the queue by another way than the bus.
DIRECT = {"canonical", "camel_case", "flat", "sns", "legacy_type"}


def entries(aws: Cloud) -> list[dict[str, str]]:
    """Each type in every form of the bus (docs/contract.md#events), a reservation for each."""
    bodies = []
    for kind in TYPES:
        for variant in variants({"type": kind, "detail": {}}).keys() - DIRECT:
            name = f"rsv_{len(bodies)}"
            detail = {"reservation_id": name, "event_id": "show", "seat_ids": [f"S-{name}"]}
            event = {"type": kind, "source": "test", "detail": detail | {"payment_intent_id": "p"}}
            bodies.append(json.loads(variants(event)[variant]))
    # An older reservation-api, and a payment-sim-api with another name of its event.
    bodies.append(bodies[0] | {"detail-type": "reservation.hold.expired"})
    bodies.append(
        next(one for one in bodies if one["detail-type"] == "Payment Status Updated")
        | {"detail-type": "payment.status_updated"}
    )
    return [
        {
            "EventBusName": BUS,
            "Source": "test",
            "DetailType": body["detail-type"],
            "Detail": json.dumps(body["detail"]),
        }
        for body in bodies
    ]


def test_every_form_of_the_bus_is_settled_and_other_events_do_not_reach_the_queue(
    aws: Cloud,
) -> None:
    events = aws.connect("events")
    put = entries(aws)
    aws.neighbours.seed(Record(f"rsv_{n}", "show", (f"S-rsv_{n}",)) for n in range(len(put) - 2))
    strange = put[0] | {"DetailType": "reservation.created"}
    for start in range(0, len(put), 9):
        answer = events.put_events(Entries=[*put[start : start + 9], strange])
        assert answer["FailedEntryCount"] == 0
    worker = aws.run_worker()

    def settled() -> float:
        return worker.metrics().value("worker_events_total", outcome="success")

    until(lambda: settled() == len(put) and aws.empty(), 60, "all are settled")
    assert worker.metrics().value("worker_events_total") == len(put)
    states = {one["status"] for one in aws.neighbours.ledger()["reservations"].values()}
    assert states == {"EXPIRED", "CONFIRMED", "CANCELLED"}
    # The worker finds no fault with the queue.
    worker.ready()
    assert [line["msg"] for line in worker.log_lines() if line["level"] == "warn"] == []
    for path in served_paths():
        assert requests.get(worker.base + path, timeout=5).status_code == 200, path


def served_paths() -> set[str]:
    """The paths that the manifests' probes and Prometheus request."""
    objects = {made["kind"]: made for made in rendered("base")}
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    [endpoint] = objects["ServiceMonitor"]["spec"]["endpoints"]
    probes = [container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
    return {endpoint["path"], *(probe["httpGet"]["path"] for probe in probes)}


def test_the_rule_leads_to_the_queue_and_has_another_queue_for_undelivered_events(
    aws: Cloud,
) -> None:
    name = "traffic-tacos-reservation-events"
    rule = aws.connect("events").list_targets_by_rule(Rule=name, EventBusName=BUS)
    [target] = rule["Targets"]
    arn = aws.attributes(aws.queue_url)["QueueArn"]
    found = aws.connect("events").list_rule_names_by_target(TargetArn=arn, EventBusName=BUS)
    assert found["RuleNames"] == [name]
    undelivered = aws.queue_url + "-undelivered"
    assert target["DeadLetterConfig"]["Arn"] == aws.attributes(undelivered)["QueueArn"]
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86_400


def test_of_eventbridge_only_the_rule_may_send_to_the_queues(aws: Cloud) -> None:
    for url in (aws.queue_url, aws.queue_url + "-undelivered"):
        policy = json.loads(aws.attributes(url)["Policy"])
        [allowed] = [one for one in policy["Statement"] if one["Effect"] == "Allow"]
        assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
        assert allowed["Action"] == "sqs:SendMessage"
        assert allowed["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(
            ":137406935518:rule/traffic-tacos/traffic-tacos-reservation-events"
        )


@pytest.mark.parametrize("suffix", ["", "-dlq", "-undelivered"])
def test_every_queue_is_encrypted_with_a_key_that_eventbridge_can_use(
    aws: Cloud, suffix: str
) -> None:
    found = aws.attributes(aws.queue_url + suffix)
    assert found["SqsManagedSseEnabled"] == "true"
    assert "KmsMasterKeyId" not in found


def test_the_dead_letter_queue_serves_this_queue_only_and_keeps_its_messages_longest(
    aws: Cloud,
) -> None:
    queue, dead = aws.attributes(aws.queue_url), aws.attributes(aws.dlq_url)
    assert json.loads(dead["RedriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [queue["QueueArn"]],
    }
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": dead["QueueArn"],
        "maxReceiveCount": 30,
    }
    days = [int(one["MessageRetentionPeriod"]) / 86_400 for one in (queue, dead)]
    assert days == [4, 14]


def test_the_development_stack_has_the_same_queues_and_the_same_rule(aws: Cloud) -> None:
    rule = aws.connect("events").describe_rule(
        Name="traffic-tacos-reservation-events", EventBusName=BUS
    )
    assert set(json.loads(rule["EventPattern"])["detail-type"]) == set(DETAIL_TYPES)
    assert provision.BUS == BUS
    made = provision.create_queues(aws.client, name="development")
    for shipped, developed in zip((aws.queue_url, aws.dlq_url), made, strict=True):
        for name in ("VisibilityTimeout", "MessageRetentionPeriod"):
            assert aws.attributes(shipped)[name] == aws.attributes(developed)[name]
    receives = {
        json.loads(aws.attributes(url)["RedrivePolicy"])["maxReceiveCount"]
        for url in (aws.queue_url, made[0])
    }
    assert receives == {30}
