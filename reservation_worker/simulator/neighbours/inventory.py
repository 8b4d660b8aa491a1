"""A gRPC server that plays inventory-svc over the seat ledger, with faults."""

import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc

from reservation_worker.simulator.neighbours.calls import CallLog
from reservation_worker.simulator.neighbours.faults import CallerGoneError, Faults
from reservation_worker.simulator.neighbours.inventory_answers import (
    TROUBLE,
    RefusedError,
    commit_response,
    release_response,
)
from reservation_worker.simulator.neighbours.ledger import SeatLedger
from reservation_worker.simulator.processes.ports import candidates
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2, inventory_pb2_grpc

HOST = "127.0.0.1"
_THREADS = 64
# gRPC gives a closed port back a moment after stop() returns.
_REBIND_SECONDS = 10.0


class _Request(Protocol):
    """What both requests have in common."""

    reservation_id: str
    event_id: str
    quantity: int
    idempotency_key: str

    @property
    def seat_ids(self) -> Any: ...


class _Servicer(inventory_pb2_grpc.InventoryServiceServicer):
    """The two calls, with their faults: delays, hangs and false answers."""

    def __init__(self, ledger: SeatLedger, faults: Faults, calls: CallLog) -> None:
        self._ledger = ledger
        self._faults = faults
        self._calls = calls

    def ReleaseHold(self, request: Any, context: grpc.ServicerContext) -> Any:
        def effect() -> Any:
            answer = self._ledger.release(*_arguments(request))
            return release_response(answer, self._ledger.character, bool(request.seat_ids))

        response = inventory_pb2.ReleaseHoldResponse
        return self._serve("ReleaseHold", request, context, effect, response)

    def CommitReservation(self, request: Any, context: grpc.ServicerContext) -> Any:
        def effect() -> Any:
            answer = self._ledger.commit(*_arguments(request))
            return commit_response(answer, self._ledger.character, bool(request.seat_ids))

        response = inventory_pb2.CommitReservationResponse
        return self._serve("CommitReservation", request, context, effect, response)

    def _serve(
        self,
        method: str,
        request: Any,
        context: grpc.ServicerContext,
        effect: Callable[[], Any],
        response: Any,
    ) -> Any:
        row = self._note(method, request, context)
        rid = request.reservation_id
        if not request.seat_ids and request.quantity < 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "neither seats nor a quantity")
        try:
            self._faults.delay()
            self._faults.pause(rid, lambda: not context.is_active())
            canned = self._faults.canned(rid, method)
            if canned is None:
                answer = effect()
                self._faults.pause(rid, lambda: not context.is_active(), after=True)
                canned = self._faults.canned(rid, method, after=True)
            if canned is not None:
                row["answer"] = str(canned)
                answer = self._instead(canned, context, response)
        except RefusedError as refused:
            row["answer"] = refused.code.name
            context.abort(refused.code, refused.text)
        except CallerGoneError:
            row["answer"] = "CALLER_GONE"
            context.abort(grpc.StatusCode.CANCELLED, "the caller went away")
        row["answer"] = f"status={answer.status} error={answer.error.code}"
        return answer

    def _instead(
        self, canned: Mapping[str, Any], context: grpc.ServicerContext, response: Any
    ) -> Any:
        if canned.get("trouble"):
            code, text, seconds = TROUBLE[self._ledger.character]
            time.sleep(seconds)
            raise RefusedError(code, text)
        if "code" in canned:
            context.abort(grpc.StatusCode[canned["code"]], canned.get("message", "a fault"))
        answer = response()
        # Numbers, not names, so that a test can use unknown ones.
        answer.status = canned.get("status", 0)
        if canned.get("error_code"):
            answer.error.code = canned["error_code"]
            answer.error.message = canned.get("message", "a fault")
        if "message_bytes" in canned:
            answer.error.message = "x" * canned["message_bytes"]
        return answer

    def _note(self, method: str, request: _Request, context: grpc.ServicerContext) -> Any:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        body = {
            "event_id": request.event_id,
            "seat_ids": list(request.seat_ids),
            "quantity": request.quantity,
            "idempotency_key": request.idempotency_key,
        }
        for name in ("reason", "payment_intent_id", "user_id"):
            if hasattr(request, name):
                body[name] = getattr(request, name)
        return self._calls.add(method, request.reservation_id, metadata, body)


class InventoryServer:
    """The server. A port of 0 is chosen at the first start and kept over restarts."""

    def __init__(self, ledger: SeatLedger, port: int = 0, host: str = HOST) -> None:
        self._host = host
        self.faults = Faults()
        self.calls = CallLog()
        self.port = port
        self._servicer = _Servicer(ledger, self.faults, self.calls)
        self._server: grpc.Server | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def address(self) -> str:
        """host:port, as INVENTORY_GRPC_ADDR wants it."""
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    def start(self) -> None:
        """Open the port and serve; a second start does nothing."""
        if self._server is not None:
            return
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="inventory")
        deadline = time.monotonic() + _REBIND_SECONDS
        ports = itertools.repeat(self.port) if self.port else candidates()
        for port in ports:
            # Without SO_REUSEPORT a second server on the port is an error, as it should be.
            server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
            inventory_pb2_grpc.add_InventoryServiceServicer_to_server(  # type: ignore[no-untyped-call]
                self._servicer, server
            )
            try:
                server.add_insecure_port(f"{self._host}:{port}")
            except RuntimeError:
                if self.port and time.monotonic() > deadline:
                    raise OSError(f"port {port} is taken") from None
                time.sleep(0.05)
                continue
            server.start()
            self.port, self._server, self._pool = port, server, pool
            return
        raise OSError("no free port")

    def stop(self) -> None:
        """Close the port and every connection; safe before a start and twice."""
        server, pool = self._server, self._pool
        if server is None or pool is None:
            return
        self._server = None
        stopped = server.stop(grace=None)
        self.faults.abandon()
        stopped.wait()
        pool.shutdown()


def _arguments(request: Any) -> tuple[str, str, list[str], int, str]:
    return (
        request.reservation_id,
        request.event_id,
        list(request.seat_ids),
        request.quantity,
        request.idempotency_key,
    )
