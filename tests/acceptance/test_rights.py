"""A role that may receive but not settle turns /ready red, which stops a rollout."""

import signal

import pytest

from reservation_worker.simulator.story.scenario import Message
from tests.sqs_proxy.process import SqsProxyProcess
from tests.world import World


@pytest.mark.parametrize(
    ("action", "right"),
    [
        ("DeleteMessageBatch", "sqs:DeleteMessage on the queue"),
        ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility on the queue"),
        ("SendMessage", "sqs:SendMessage on the dead-letter queue"),
    ],
)
def test_a_missing_right_turns_ready_red_with_the_reason_until_it_is_granted(
    world: World, action: str, right: str
) -> None:
    refused = {"access_denied": {"rate": 1, "actions": [action]}}
    with SqsProxyProcess(world.sqs.url, faults=refused) as proxy:
        worker = world.run_worker(AWS_ENDPOINT_URL=proxy.url, BACKOFF_BASE_MS="1")

        def settle_some() -> None:
            """One message that needs a delete, one a retry and one a dead letter."""
            ids = world.seed(2, prefix=f"rsv{len(world.neighbours.ledger()['reservations'])}")
            world.neighbours.answer("reservation", {"status": 503}, ids=ids[:1])
            world.expire(ids)
            world.publish([Message("not JSON", "poison", "poison", "poison")])

        settle_some()
        worker.until(lambda: worker.probe("/ready")[0] == 503, 60, "said that it is not ready")
        worker.until(
            lambda: worker.probe("/ready")[1].get("failing") == ["rights"], 60, "named the rights"
        )
        detail = worker.probe("/ready")[1]["checks"]["rights"]["detail"]
        assert detail == f"AccessDenied: allow {right}"
        assert worker.health()[0] == 200
        proxy.set_faults()
        settle_some()
        worker.until(lambda: worker.probe("/ready")[0] == 200, 60, "become ready again")
        worker.signal(signal.SIGTERM)
        worker.wait(60)
