"""Thread: HTTP on SERVER_PORT for probes, Prometheus and the pages, by waitress."""

import logging
import threading
from collections.abc import Mapping
from typing import Any, cast
from wsgiref.types import WSGIApplication

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from waitress import wasyncore
from waitress.server import create_server

from reservation_worker.servers.connections import MOST, Connection, close_surplus
from reservation_worker.servers.listening import listen, local_url
from reservation_worker.status.probes import Check, Probes
from reservation_worker.web import Answer, Page, WebApp, as_json


def make_app(probes: Probes, registry: CollectorRegistry, *more: Mapping[str, Page]) -> WebApp:
    """The probes, the metrics, and `more` pages."""
    pages: dict[str, Page] = {
        "/health": lambda environ: _report(probes.health()),
        "/ready": lambda environ: _report(probes.ready()),
        "/metrics": lambda environ: Answer(generate_latest(registry), CONTENT_TYPE_LATEST),
    }
    pages |= {"/healthz": pages["/health"], "/readyz": pages["/ready"]}
    for others in more:
        pages |= others
    return WebApp(pages)


def _report(checks: list[Check]) -> Answer:
    failing = [check.name for check in checks if not check.ok]
    body = {
        "status": "fail" if failing else "ok",
        "failing": failing,
        "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in checks},
    }
    return as_json(body, 503 if failing else 200)


class HealthServer:
    """Serves `app` from its own thread. Raises OSError if the port can't be listened on."""

    def __init__(self, app: WSGIApplication, host: str, port: int) -> None:
        self._host = host
        self._socket = listen(host, port)
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
