"""Looking into a real worker: the debug server by reflection, its profiles, and SIGUSR1."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from reservation_worker.simulator.processes.ports import free_port
from reservation_worker.simulator.processes.worker import WorkerProcess
from tests.fake_queue import PATIENCE
from tests.security.test_process import addresses
from tests.world import World, until

SERVICE = "reservation.v1.WorkerService"


class Reflected:
    """A client that knows only the address and learns the rest by reflection."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._service = DescriptorPool(self._database).FindServiceByName(SERVICE)

    @property
    def services(self) -> set[str]:
        return set(self._database.get_services())

    @property
    def methods(self) -> set[str]:
        return {one.name for one in self._service.methods}

    def call(self, name: str, **fields: Any) -> Any:
        method = self._service.methods_by_name[name]
        make = self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return make(GetMessageClass(method.input_type)(**fields), timeout=PATIENCE)


@contextmanager
def reflected(worker: WorkerProcess) -> Iterator[Reflected]:
    with grpc.insecure_channel(f"127.0.0.1:{worker.env['GRPC_DEBUG_PORT']}") as channel:
        yield Reflected(channel)


def test_a_reflection_client_can_list_and_query_a_worker_that_refuses_writes(world: World) -> None:
    ids = world.seed(3)
    worker = world.run_worker(GRPC_DEBUG_PORT=str(free_port()))
    world.expire(ids[:2])
    until(world.empty, 60, "every event is settled")
    with reflected(worker) as client:
        assert {SERVICE, "grpc.health.v1.Health"} <= client.services
        assert client.methods == {
            "HealthCheck",
            "GetJobStatus",
            "ProcessReservationExpiry",
            "ProcessPaymentResult",
            "ProcessCompensation",
        }
        health = client.call("HealthCheck")
        assert (health.processed_events_count, health.queue_depth) == (2, 0)
        assert len(client.call("GetJobStatus").jobs) == 2
        with pytest.raises(grpc.RpcError) as caught:
            client.call("ProcessReservationExpiry", reservation_id=ids[2])
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert set(world.released()) == set(ids[:2])
    # Callers on other machines cannot reach it.
    assert addresses(worker.pid)[int(worker.env["GRPC_DEBUG_PORT"])] == {"127.0.0.1"}
    assert worker.probe("/debug/threads")[0] == worker.probe("/debug/nothing")[0] == 404


def test_a_requested_settlement_takes_effect_once_and_the_stop_is_clean(world: World) -> None:
    [rid] = world.seed(1)
    worker = world.run_worker(GRPC_DEBUG_PORT=str(free_port()), GRPC_DEBUG_ALLOW_WRITE="true")
    with reflected(worker) as client:
        first = client.call("ProcessReservationExpiry", reservation_id=rid)
        assert (first.next_action, [one.id for one in first.released_seats]) == (
            "completed",
            [f"S-{rid}"],
        )
        world.expire([rid])
        until(world.empty, 60, "the queue's own event is settled")
        again = client.call("ProcessReservationExpiry", reservation_id=rid)
        paid = client.call(
            "ProcessPaymentResult", reservation_id=rid, payment_intent_id="pay_1", result_type=1
        )
        worker.signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    assert again.next_action == "completed"
    assert (paid.next_action, paid.error.details[0].reason) == ("dlq", "compensation_required")
    assert world.released() == {rid: 1}
    assert world.dead_letters() == []
    lines = [line for line in worker.log_lines() if line["msg"].startswith("asked over the debug")]
    assert [line["outcome"] for line in lines] == [
        "PROCESSING_STATUS_SUCCESS",
        "PROCESSING_STATUS_SUCCESS",
        "PROCESSING_STATUS_DLQ",
    ]
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in lines)


def test_a_second_worker_on_one_machine_names_both_ports_and_the_variables_to_set(
    world: World,
) -> None:
    first = world.run_worker(GRPC_DEBUG_PORT=str(free_port()))
    ports = {name: first.env[name] for name in ("SERVER_PORT", "GRPC_DEBUG_PORT")}
    second = world.worker(ports, "second").start()
    assert second.wait(60) == 1
    [line] = second.log_lines()
    for name, port in ports.items():
        assert f"{name} {port} can't be listened on: [Errno 98] Address already" in line["msg"]
    assert "set SERVER_PORT and GRPC_DEBUG_PORT to other ports (0: any free port)" in line["msg"]
    assert "traceback" not in line
    # The first worker is unaffected.
    assert first.health()[0] == 200


def stacks(worker: WorkerProcess) -> list[dict[str, Any]]:
    return [line for line in worker.log_lines() if "stack_of" in line]


def test_sigusr1_logs_every_threads_stack_and_the_worker_goes_on(world: World) -> None:
    worker = world.run_worker()
    worker.ready()
    for _ in range(50):
        worker.signal(signal.SIGUSR1)
    names = {"MainThread", "poller", "deleter", "leases", "health", "worker_0"}
    until(lambda: names <= {one["stack_of"] for one in stacks(worker)}, 60, "all are in the log")
    seen = {line["stack_of"]: line["stack"] for line in stacks(worker)}
    assert any("poller.py" in frame for frame in seen["poller"])
    assert any("run/__init__.py" in frame for frame in seen["MainThread"])
    # It goes on working, and a second signal is logged too.
    [rid] = world.seed(1)
    world.expire([rid])
    until(world.empty, 60, "it is settled")
    before = len(stacks(worker))
    worker.signal(signal.SIGUSR1)
    until(lambda: len(stacks(worker)) > before, 60, "they are in the log once more")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGUSR1)
    assert worker.wait(60) == 0
