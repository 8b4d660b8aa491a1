"""grpc.health.v1 with the verdict of /ready: for the server as a whole and for WorkerService."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from reservation_worker.status.probes import Check

_Response = health_pb2.HealthCheckResponse
_StatusCode = grpc.StatusCode


class Serving(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Judges anew at each call.

    Not the library's HealthServicer: it tells who watches while it holds the lock that the end of
    a watch needs, so that one client which left at the wrong moment stopped the whole server.
    """

    def __init__(self, ready: Callable[[], list[Check]], service: str) -> None:
        self._ready = ready
        self._services = (health.OVERALL_HEALTH, service)

    def Check(self, request: Any, context: Any) -> Any:
        """The verdict as it is now; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            context.abort(_StatusCode.NOT_FOUND, f"no service {request.service[:100]}")
        return self._verdict()

    def List(self, request: Any, context: Any) -> Any:
        """The verdict of every service."""
        return health_pb2.HealthListResponse(
            statuses=dict.fromkeys(self._services, self._verdict())
        )

    def Watch(self, request: Any, context: Any) -> Any:
        """UNIMPLEMENTED, which the protocol allows: clients then ask Check or do without."""
        context.abort(_StatusCode.UNIMPLEMENTED, "nothing is watched here: ask Check")

    def _verdict(self) -> Any:
        green = all(check.ok for check in self._ready())
        return _Response(status=_Response.SERVING if green else _Response.NOT_SERVING)
