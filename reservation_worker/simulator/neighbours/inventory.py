"""A gRPC server that plays inventory-svc over the seat ledger, with faults."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from reservation_worker.simulator.neighbours.calls import CallLog
from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.faults import CallerGoneError, Faults
from reservation_worker.simulator.neighbours.inventory_answers import (
    TROUBLE,
    RefusedError,
    commit_response,
    false_answer,
    release_response,
)
from reservation_worker.simulator.neighbours.seats import SeatLedger
from reservation_worker.simulator.neighbours.stock import Effect
from reservation_worker.simulator.processes.ports import LOOPBACK, free_port
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2, inventory_pb2_grpc

_THREADS = 64
# gRPC gives a closed port back a moment after stop() returns.
_REBIND_SECONDS = 10.0


class _Servicer(inventory_pb2_grpc.InventoryServiceServicer):
    """The two calls, with their faults."""

    def __init__(self, ledger: SeatLedger, faults: Faults, calls: CallLog) -> None:
        self._ledger = ledger
        self._faults = faults
        self._calls = calls

    def ReleaseHold(self, request: Any, context: grpc.ServicerContext) -> Any:
        empty = inventory_pb2.ReleaseHoldResponse()
        return self._serve(request, context, self._ledger.release, release_response, empty)

    def CommitReservation(self, request: Any, context: grpc.ServicerContext) -> Any:
        empty = inventory_pb2.CommitReservationResponse()
        return self._serve(request, context, self._ledger.commit, commit_response, empty)

    def _serve(
        self,
        request: Any,
        context: grpc.ServicerContext,
        act: Callable[..., Effect],
        respond: Callable[[Effect, Any, Character], Any],
        empty: Any,
    ) -> Any:
        method, rid = type(request).__name__.removesuffix("Request"), request.reservation_id
        facts = MessageToDict(
            request, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        headers = {str(key): str(value) for key, value in context.invocation_metadata()}
        row = self._calls.add(method, rid, headers, facts)

        def effect() -> Any:
            seats, quantity = list(request.seat_ids), request.quantity
            done = act(rid, request.event_id, seats, quantity, request.idempotency_key)
            return respond(done, request, self._ledger.character)

        def instead(spec: Any) -> Any:
            return false_answer(spec, empty)

        def gone() -> bool:
            return not context.is_active()

        try:
            if not request.seat_ids and request.quantity < 1:
                text = "neither seats nor a quantity"
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, text)
            answer = self._faults.serve(method, rid, gone, effect, instead)
        except RefusedError as refused:
            row["answer"] = refused.code.name
            context.abort(refused.code, refused.text)
        except CallerGoneError:
            row["answer"] = "CALLER_GONE"
            context.abort(grpc.StatusCode.CANCELLED, "the caller went away")
        row["answer"] = f"status={answer.status} error={answer.error.code}"
        return answer


class InventoryServer:
    """The server. A port of 0 is chosen at the first start and kept over restarts."""

    def __init__(self, ledger: SeatLedger, port: int = 0, host: str = LOOPBACK) -> None:
        self._host = host
        self.faults = Faults(TROUBLE[ledger.character])
        self.calls = CallLog()
        self.port = port
        self._servicer = _Servicer(ledger, self.faults, self.calls)
        self._server: grpc.Server | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def address(self) -> str:
        """host:port, as INVENTORY_GRPC_ADDR wants it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    def start(self) -> None:
        """Open the port and serve; a second start does nothing. Raises OSError."""
        if self._server is not None:
            return
        self.port = self.port or free_port()
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="inventory")
        deadline = time.monotonic() + _REBIND_SECONDS
        while True:
            # Without SO_REUSEPORT a second server on the port is an error, as it should be.
            server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
            inventory_pb2_grpc.add_InventoryServiceServicer_to_server(  # type: ignore[no-untyped-call]
                self._servicer, server
            )
            try:
                server.add_insecure_port(f"{self._host}:{self.port}")
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise OSError(f"port {self.port} is taken") from None
                time.sleep(0.05)
            else:
                break
        server.start()
        self._server, self._pool = server, pool

    def stop(self) -> None:
        """Close the port and every connection; safe before a start and twice."""
        server, pool = self._server, self._pool
        if server is None or pool is None:
            return
        self._server = None
        server.stop(grace=None).wait()
        pool.shutdown()
