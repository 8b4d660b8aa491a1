"""The simulated inventory-svc and a client of it; the shows of every ledger here."""

from typing import Any

import grpc

from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1.inventory_pb2_grpc import InventoryServiceStub

HALL, LAWN = "evt_hall", "evt_lawn"
WAIT = 10.0


class Inventory:
    """The server and a client of it."""

    def __init__(self, server: InventoryServer) -> None:
        self.server = server
        self.faults = server.faults
        self.channel = grpc.insecure_channel(server.address)
        self.stub = InventoryServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def release(self, rid: str, timeout: float = WAIT, **fields: Any) -> Any:
        return self.stub.ReleaseHold(
            pb.ReleaseHoldRequest(**self.facts(rid, "release") | fields),
            timeout=timeout,
            metadata=[("traceparent", "00-aa-bb-01"), ("x-trace-id", "trace")],
        )

    def commit(self, rid: str, timeout: float = WAIT, **fields: Any) -> Any:
        request = pb.CommitReservationRequest(**self.facts(rid, "commit") | fields)
        return self.stub.CommitReservation(request, timeout=timeout)

    @staticmethod
    def facts(rid: str, op: str) -> dict[str, Any]:
        number = rid.removeprefix("rsv_")
        return {
            "reservation_id": rid,
            "event_id": HALL,
            "seat_ids": [f"A{number}", f"B{number}"],
            "quantity": 2,
            "idempotency_key": f"{op}:{rid}",
        }
