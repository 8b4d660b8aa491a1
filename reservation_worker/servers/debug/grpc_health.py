"""grpc.health.v1 by the checks of /ready, for the server as a whole and for WorkerService."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from reservation_worker.status.probes import Check

_Response = health_pb2.HealthCheckResponse
_StatusCode = grpc.StatusCode


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Runs the checks at each call.

    The library's HealthServicer notifies watchers while it holds the lock that the end of a watch
    needs: one client that left at the wrong moment stopped the whole server.
    """

    def __init__(self, ready: Callable[[], list[Check]], service: str) -> None:
        self._ready = ready
        self._services = (health.OVERALL_HEALTH, service)

    def Check(self, request: Any, context: Any) -> Any:
        """The present status; NOT_FOUND for an unknown service."""
        if request.service not in self._services:
            context.abort(_StatusCode.NOT_FOUND, f"no service {request.service[:100]}")
        return self._status()

    def List(self, request: Any, context: Any) -> Any:
        """The status of every service."""
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, self._status()))

    def Watch(self, request: Any, context: Any) -> Any:
        """UNIMPLEMENTED, which the protocol allows: clients fall back to Check."""
        context.abort(_StatusCode.UNIMPLEMENTED, "Watch is not supported: use Check")

    def _status(self) -> Any:
        green = all(check.ok for check in self._ready())
        return _Response(status=_Response.SERVING if green else _Response.NOT_SERVING)
