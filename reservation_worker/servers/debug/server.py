"""gRPC on GRPC_DEBUG_PORT: WorkerService, health and reflection, for debugging."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from loguru import logger

from reservation_worker.servers.debug.grpc_health import HealthService
from reservation_worker.servers.debug.service import Handle, WorkerService
from reservation_worker.servers.debug.state import WorkerState
from reservation_worker.servers.listening import listen
from reservation_worker.servers.profiles import is_local
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2, worker_pb2_grpc

SERVICE: str = worker_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name
THREADS = 4
MOST_CALLS = 32
"""The limit of calls at the same time, reflection included; gRPC refuses more."""
_MINUTE_MS = 60_000


class DebugServer:
    """Serves until it is stopped. Raises OSError when the port can't be had.

    Without `handle` it is read-only; `deadline` is the limit of a settlement, in seconds.
    """

    def __init__(
        self, host: str, port: int, state: WorkerState, handle: Handle | None, deadline: float
    ) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="debug")
        self._server = grpc.server(
            self._pool,
            maximum_concurrent_rpcs=MOST_CALLS,
            options=[
                # Otherwise a second worker would share the port and answer every other call.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 64 * 1024),
                ("grpc.max_metadata_size", 8 * 1024),
                # A stream that never ends holds one of few threads.
                ("grpc.max_connection_age_ms", 10 * _MINUTE_MS),
                ("grpc.max_connection_age_grace_ms", _MINUTE_MS + int(deadline * 1000)),
            ],
        )
        service: Any = worker_pb2_grpc
        service.add_WorkerServiceServicer_to_server(WorkerService(state, handle), self._server)
        health_service = HealthService(state.probes.ready, SERVICE)
        health_pb2_grpc.add_HealthServicer_to_server(health_service, self._server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        self._writes = handle is not None
        self.host = host
        self.port = self._listen(host, port)

    def _listen(self, host: str, port: int) -> int:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError as error:
            # gRPC does not report the cause; the system's error does.
            listen(host, port).close()
            raise OSError(str(error)) from error

    def start(self) -> None:
        """Start serving. Raises RuntimeError when the system has no thread left."""
        if self._writes and self.host != "localhost" and not is_local(self.host):
            logger.warning(
                "GRPC_DEBUG_ALLOW_WRITE is true and GRPC_DEBUG_HOST is {}: anybody who reaches port"
                " {} can settle reservations; use 127.0.0.1 and kubectl port-forward",
                self.host,
                self.port,
            )
        self._server.start()

    def stop(self, timeout: float) -> None:
        """Refuse new calls and wait at most `timeout` seconds for running ones; safe twice."""
        with suppress(RuntimeError):  # no thread left: the exit ends running calls
            self._server.stop(timeout).wait(timeout)
        self._pool.shutdown(wait=False, cancel_futures=True)
