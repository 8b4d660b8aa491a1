"""Both neighbours, for measuring: each accepts every call after a delay and keeps no state.

The harness's own calls come to the reservation-api's port, under /bench/.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from benchmarks.stubs.http import HOST, Request, listen
from benchmarks.stubs.latency import Latency
from reservation_worker.simulator.processes.serve import serve_until, stop_on_signals
from reservation_worker.stubs.proto.common.v1 import types_pb2
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb

Handler = Callable[[bytes, Any], Awaitable[bytes]]

# Made once, so that their cost does not count.
_SEATS = [types_pb2.Seat(id=one, section="A", row="1", number=one) for one in ("A1", "B1")]
_ANSWERS = {
    "/reservation.v1.InventoryService/ReleaseHold": pb.ReleaseHoldResponse(
        released_seats=_SEATS, status=pb.RELEASE_STATUS_SUCCESS
    ).SerializeToString(),
    "/reservation.v1.InventoryService/CommitReservation": pb.CommitReservationResponse(
        order_id="ord_1", sold_seats=_SEATS, status=pb.COMMIT_STATUS_SUCCESS
    ).SerializeToString(),
}


class Inventory(grpc.GenericRpcHandler):
    """inventory-svc: constant answers, undecoded requests."""

    def __init__(self) -> None:
        self.latency = Latency()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of a call; None: unimplemented."""
        answer = _ANSWERS.get(details.method)
        return answer and grpc.unary_unary_rpc_method_handler(self._saying(answer))

    def _saying(self, answer: bytes) -> Handler:
        async def handle(_request: bytes, _context: Any) -> bytes:
            began = time.monotonic()
            await asyncio.sleep(self.latency.next())
            self.latency.took(time.monotonic() - began)
            return answer

        return handle


class ReservationApi:
    """reservation-api: every reservation is in the requested state."""

    def __init__(self) -> None:
        self.latency = Latency()

    def handle(self, request: Request) -> None:
        """Answer one request after the latency."""
        loop = asyncio.get_running_loop()
        loop.call_later(self.latency.next(), self._answer, request, time.monotonic())

    def _answer(self, request: Request, began: float) -> None:
        self.latency.took(time.monotonic() - began)
        rid = request.path.rpartition("/")[2]
        status = request.json()["status"] if request.method == "PATCH" else "HOLD"
        request.reply({"reservation_id": rid, "status": status, "event_id": "evt_show"})


async def main() -> None:
    """Serve until told to stop."""
    stop = stop_on_signals()
    inventory, reservation = Inventory(), ReservationApi()
    latencies = {"inventory": inventory.latency, "reservation": reservation.latency}

    def handle(request: Request) -> None:
        if not request.path.startswith("/bench/"):
            reservation.handle(request)
            return
        asked = request.json()
        for latency in latencies.values():
            if request.path == "/bench/latency":
                latency.set(asked["latency_ms"], asked["jitter_ms"])
            elif request.path == "/bench/mark":
                latency.mark()
        request.reply({name: latency.noted() for name, latency in latencies.items()})

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((inventory,))
    inventory_port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    port = await listen(handle)
    await asyncio.to_thread(serve_until, stop, reservation=port, inventory=inventory_port)
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
