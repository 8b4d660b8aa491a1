"""Thread: HTTP on SERVER_PORT for probes, Prometheus and the pages, by Flask on waitress."""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any, cast

from flask import Blueprint, Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from waitress import wasyncore
from waitress.server import create_server
from werkzeug.exceptions import HTTPException, NotFound

from reservation_worker.servers.connections import MOST, Connection, close_surplus
from reservation_worker.servers.listening import Listener, listen, local_url
from reservation_worker.status.probes import Check, Probes


def make_app(probes: Probes, registry: CollectorRegistry, *pages: Blueprint) -> Flask:
    """The routes, by GET and HEAD; everything else is refused in JSON."""
    app = Flask("reservation_worker", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    def report(checks: Callable[[], list[Check]]) -> tuple[Response, int]:
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
        return report(probes.health)

    @app.get("/ready")
    @app.get("/readyz")
    def ready() -> tuple[Response, int]:
        return report(probes.ready)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    for blueprint in pages:
        app.register_blueprint(blueprint)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        # The error's own answer, because a 405 has an Allow header; without its HTML page.
        answer = error.get_response()
        hint = "; try /health, /ready or /metrics" if isinstance(error, NotFound) else ""
        answer.set_data(json.dumps({"error": f"{error.name.lower()}{hint}"}))
        answer.content_type = "application/json"
        return answer

    return app


class HealthServer:
    """Serves `app` from its own thread. Raises OSError if the port can't be listened on."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._host = host
        self._socket = Listener(fileno=listen(host, port).detach())
        # Any client can cause their warnings about waiting requests and connections.
        for name in ("waitress", "waitress.queue"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._map: Any = {}
        made = create_server(
            app,
            map=self._map,
            sockets=[self._socket],
            threads=4,
            # A probe's request has no body.
            max_request_body_size=1024,
            max_request_header_size=16 * 1024,
            # Beyond MOST we close idle connections; new ones wait only while none is idle.
            # (waitress counts its own listener and trigger, too.)
            connection_limit=MOST + 20,
            # A client that hangs up is not an error.
            log_socket_errors=False,
            ident="reservation-worker",
        )
        self._server = cast(Any, made)
        self._server.channel_class = Connection
        self._stop_lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The URL of the status page for a browser on this machine."""
        return local_url(self._host, self.port)

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
            close_surplus(self._server.active_channels.values())
