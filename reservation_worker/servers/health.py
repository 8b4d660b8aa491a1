"""Thread: HTTP on SERVER_PORT for probes and Prometheus, by Flask on waitress."""

import socket
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from waitress import wasyncore
from waitress.server import create_server

from reservation_worker.servers.probes import Check, Probes


def make_app(probes: Probes, registry: CollectorRegistry) -> Flask:
    """The routes; everything else is a 404 in JSON."""
    app = Flask("reservation_worker", static_folder=None)

    def verdict(checks: Callable[[], list[Check]]) -> tuple[Response, int]:
        found = checks()
        failing = [check.name for check in found if not check.ok]
        body = {
            "status": "fail" if failing else "ok",
            "failing": failing,
            "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in found},
        }
        return jsonify(body), 503 if failing else 200

    @app.get("/health")
    @app.get("/healthz")
    def health() -> tuple[Response, int]:
        return verdict(probes.health)

    @app.get("/ready")
    @app.get("/readyz")
    def ready() -> tuple[Response, int]:
        return verdict(probes.ready)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    @app.errorhandler(404)
    def not_found(error: Exception) -> tuple[Response, int]:
        return jsonify(error="not found; try /health, /ready or /metrics"), 404

    return app


class HealthServer:
    """Serves `app` from a thread of its own. Raises OSError when the port can't be had."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._socket = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self._map: Any = {}
        self._server: Any = create_server(
            app,
            map=self._map,
            sockets=[self._socket],
            threads=4,
            # A probe's request has no body; a slow client may not hold a connection for long.
            max_request_body_size=1024,
            max_request_header_size=16 * 1024,
            connection_limit=100,
            channel_timeout=15,
            cleanup_interval=5,
            ident="reservation-worker",
        )
        self._stop_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on (of interest when 0 was asked for)."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stop serving, waiting at most `timeout` seconds; safe before start and twice."""
        with self._stop_lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            if self._thread.is_alive():
                self._server.pull_trigger()
                self._thread.join(timeout)
            if not self._thread.is_alive():
                # Only when its loop is over: waitress may not be closed from another thread.
                self._server.task_dispatcher.shutdown(timeout=min(1, timeout))
                wasyncore.close_all(self._map)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)
