"""The loop of the tutorials: receive ten, a thread each, delete one by one. All settings are
defaults.

It reads on without waiting for the threads: the tutorials that do wait have ten in flight at most.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import grpc
import requests
from loguru import logger

from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2_grpc as rpc

QUEUE_URL = os.environ["SQS_QUEUE_URL"]
BASE = os.environ["RESERVATION_API_BASE"]

logger.remove()
logger.add(sys.stdout, serialize=True)
sqs = boto3.client("sqs")
http = requests.Session()
inventory = rpc.InventoryServiceStub(grpc.insecure_channel(os.environ["INVENTORY_GRPC_ADDR"]))


def handle(message: dict[str, Any]) -> None:
    try:
        event = json.loads(message["Body"])
        detail = event["detail"]
        rid = detail["reservation_id"]
        response = http.patch(
            f"{BASE}/internal/reservations/{rid}",
            json={"status": "EXPIRED"},
            headers={"Idempotency-Key": f"status:EXPIRED:{rid}"},
            timeout=5,
        )
        response.raise_for_status()
        if response.json()["status"] != "EXPIRED":
            raise ValueError(f"{rid} is not expired")
        released = inventory.ReleaseHold(
            pb.ReleaseHoldRequest(
                reservation_id=rid,
                event_id=detail["event_id"],
                seat_ids=detail["seat_ids"],
                quantity=detail["qty"],
                reason="EXPIRED",
                idempotency_key=f"release:{rid}",
            ),
            timeout=5,
        )
        if released.status != pb.RELEASE_STATUS_SUCCESS:
            raise ValueError(f"{rid} is not released")
        sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
        logger.info("settled", event_id=event["id"], reservation_id=rid, outcome="success")
    except Exception:
        logger.exception("failed")


def main() -> None:
    with ThreadPoolExecutor(int(os.environ["WORKER_CONCURRENCY"])) as pool:
        while True:
            answer = sqs.receive_message(
                QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=20
            )
            for message in answer.get("Messages", []):
                pool.submit(handle, message)


if __name__ == "__main__":
    main()
