"""A fault-injecting proxy between worker and SQS, run as a process.

    python -m tests.sqs_proxy.proxy --upstream URL --faults '{"reset": 0.1}'

It speaks SQS's AWS JSON protocol. The first line on stdout has its port; stderr has the config and
a line for each injected fault. Requests to /NAME/ instead of / are recorded under that name.
Control: GET /_proxy/counts and /_proxy/deliveries; POST /_proxy/faults with an object: faults, and
max_visibility if it is to change.

It ends on SIGTERM, or when the pipe that is its stdin closes: it does not outlive its parent.
"""

import argparse
import http.client
import json
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from reservation_worker.simulator.processes.ports import LOOPBACK, free_port
from reservation_worker.simulator.processes.serve import serve_until, stop_on_signals
from tests.sqs_proxy.broker import Answer, Broker, CutError
from tests.sqs_proxy.faults import FaultPlan

_CONTROL = "/_proxy/"
# Longer than any long poll.
_UPSTREAM_TIMEOUT = 60.0
_OURS = {"host", "content-length", "connection", "transfer-encoding", "expect"}


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, broker: Broker, upstream: str) -> None:
        self.broker = broker
        self.upstream = urlsplit(upstream).netloc
        super().__init__((LOOPBACK, free_port()), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are expected here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes) -> None:
        target = self.headers.get("X-Amz-Target", "")
        try:
            if self.path.startswith(_CONTROL):
                self._control(json.loads(body or b"{}"))
            elif target.startswith("AmazonSQS."):
                self._sqs(target.removeprefix("AmazonSQS."), json.loads(body))
            else:
                self._pass_on(body)
        except CutError:
            self._reset()

    def _sqs(self, action: str, body: Mapping[str, Any]) -> None:
        broker, worker = self.server.broker, self.path.strip("/") or "-"
        answer = broker.serve(action, worker, body, self._ask)
        # Recorded before it is sent, because the worker may act on it at once.
        broker.deliveries.sent(answer.deliveries)
        headers = {"x-amzn-query-error": answer.query_error} if answer.query_error else {}
        text = json.dumps(answer.body).encode()
        self._send(answer.status, text, "application/x-amz-json-1.0", headers)

    def _ask(self, action: str, body: Mapping[str, Any]) -> Answer:
        status, headers, text = self._upstream(
            "POST", "/", json.dumps(body).encode(), {"X-Amz-Target": f"AmazonSQS.{action}"}
        )
        answer = json.loads(text or b"{}")
        return Answer(status, answer, headers.get("x-amzn-query-error", ""))

    def _pass_on(self, body: bytes) -> None:
        status, headers, text = self._upstream(self.command, self.path, body, {})
        self._send(status, text, headers.get("Content-Type", "text/plain"), {})

    def _upstream(
        self, method: str, path: str, body: bytes, more: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        # A connection for each request: a kept one could break in the middle of a receive.
        there = http.client.HTTPConnection(self.server.upstream, timeout=_UPSTREAM_TIMEOUT)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OURS}
        try:
            there.request(method, path, body, {**headers, **more})
            answer = there.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            raise CutError from None
        finally:
            there.close()

    def _control(self, asked: Mapping[str, Any]) -> None:
        broker = self.server.broker
        what = self.path.removeprefix(_CONTROL)
        status, answer = 200, dict[str, Any]()
        try:
            if what == "faults" and self.command == "POST":
                broker.plan.configure(asked.get("faults", {}))
                broker.max_visibility = int(asked.get("max_visibility", broker.max_visibility))
            elif what == "counts":
                answer = {"counts": broker.plan.counts()}
            elif what == "deliveries":
                answer = {"deliveries": broker.deliveries.rows()}
            else:
                status = 404
        except (ValueError, TypeError, AttributeError) as error:
            status, answer = 400, {"error": str(error)}
        self._send(status, json.dumps(answer).encode(), "application/json", {})

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        """Send RST instead of FIN."""
        self.close_connection = True
        now = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        # Not by socketserver: its shutdown() before the close would send a FIN.
        socket.close(self.connection.detach())
        raise ConnectionResetError

    def log_message(self, format: str, *args: Any) -> None:
        """No access log."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or the end of stdin."""
    args = _parser().parse_args(argv)
    stop = stop_on_signals()
    broker = Broker(FaultPlan(args.seed, args.faults, _log), stop)
    server = Server(broker, args.upstream)
    threading.Thread(target=server.serve_forever, name="proxy", daemon=True).start()
    serve_until(stop, port=server.server_address[1])
    server.shutdown()
    server.server_close()
    return 0


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sqs_proxy", description="Faults before SQS.")
    parser.add_argument("--upstream", required=True, help="the real server, http://host:port")
    parser.add_argument("--seed", type=int, default=0, help="of every chance")
    parser.add_argument("--faults", type=json.loads, default={}, help="JSON, see faults.py")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
