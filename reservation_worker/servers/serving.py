"""grpc.health.v1 with the verdict of /ready: for the server as a whole and for WorkerService."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from reservation_worker.servers.probes import Check

_STATUS = health_pb2.HealthCheckResponse


class Serving(health.HealthServicer):
    """Judges anew at each Check; who watches is told at the next `refresh`."""

    def __init__(self, ready: Callable[[], list[Check]], service: str) -> None:
        super().__init__()
        self._ready = ready
        self._services = (health.OVERALL_HEALTH, service)
        self._told: int | None = None
        self.refresh()

    def refresh(self) -> None:
        """Judge, and tell those who watch if that changed."""
        green = all(check.ok for check in self._ready())
        status = _STATUS.SERVING if green else _STATUS.NOT_SERVING
        with self._lock:
            if status == self._told:
                return
            self._told = status
            for service in self._services:
                self.set(service, status)

    def Check(self, request: Any, context: Any) -> Any:
        """The verdict as it is now; NOT_FOUND for a service that is not here."""
        self.refresh()
        return super().Check(request, context)

    def List(self, request: Any, context: Any) -> Any:
        """The verdict of every service."""
        self.refresh()
        told = {name: _STATUS(status=self._told) for name in self._services}
        return health_pb2.HealthListResponse(statuses=told)

    def Watch(
        self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None
    ) -> Any:
        """The verdict now and after each change. It holds no thread."""
        if request.service not in self._services:
            # The library would keep every name that a client thinks of.
            send_response_callback(_STATUS(status=_STATUS.SERVICE_UNKNOWN))
            send_response_callback(None)
            return None
        self.refresh()
        return super().Watch(request, context, send_response_callback)
