"""The work of each framework's handler: the same calls as the worker, and a log line.

Raises the errors of requests and gRPC, and ValueError for an answer that is not a success.
"""

import os
import sys
from typing import Any

import grpc
import requests
from loguru import logger
from requests.adapters import HTTPAdapter

from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2_grpc as rpc

CONCURRENCY = int(os.environ["WORKER_CONCURRENCY"])
_BASE = os.environ["RESERVATION_API_BASE"]
_TIMEOUT = 5

# Shared, and large enough: with requests' default of ten, every other call would reconnect.
_http = requests.Session()
_http.mount("http://", HTTPAdapter(pool_maxsize=CONCURRENCY))
_inventory = rpc.InventoryServiceStub(grpc.insecure_channel(os.environ["INVENTORY_GRPC_ADDR"]))

logger.remove()
logger.add(sys.stdout, serialize=True)


def settle(event: dict[str, Any]) -> None:
    """Expire the reservation and release its seats."""
    detail = event["detail"]
    rid = detail["reservation_id"]
    answer = _http.patch(
        f"{_BASE}/internal/reservations/{rid}",
        json={"status": "EXPIRED"},
        headers={"Idempotency-Key": f"status:EXPIRED:{rid}"},
        timeout=_TIMEOUT,
    )
    answer.raise_for_status()
    if answer.json()["status"] != "EXPIRED":
        raise ValueError(f"{rid} is not expired")
    released = _inventory.ReleaseHold(
        pb.ReleaseHoldRequest(
            reservation_id=rid,
            event_id=detail["event_id"],
            seat_ids=detail["seat_ids"],
            quantity=detail["qty"],
            reason="EXPIRED",
            idempotency_key=f"release:{rid}",
        ),
        timeout=_TIMEOUT,
    )
    if released.status != pb.RELEASE_STATUS_SUCCESS:
        raise ValueError(f"{rid} is not released")
    logger.info("settled", event_id=event["id"], reservation_id=rid, outcome="success")
