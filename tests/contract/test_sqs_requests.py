"""SqsQueue's requests and time limits, against a server that records or does not answer."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reservation_worker.errors import SqsError
from reservation_worker.sqs import queue as sqs
from tests.contract.queues import sqs_queue
from tests.fake_queue import PATIENCE


@contextmanager
def recorder(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[Any]:
    """An HTTP server in place of SQS; `requests` are the bodies that it received."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.requests.append(json.loads(body))  # type: ignore[attr-defined]
            answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []  # type: ignore[attr-defined]
    server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_receive_passes_no_visibility_timeout() -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    with recorder(answer) as server:
        queue = sqs_queue(f"{server.url}/000000000000/q", server.url)
        assert queue.receive(7, 3) == []
        queue.close()
    [asked] = server.requests
    assert "VisibilityTimeout" not in asked
    assert (asked["MaxNumberOfMessages"], asked["WaitTimeSeconds"]) == (7, 3)


def test_a_failed_receive_is_not_retried_by_boto3() -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_error(503)

    with recorder(answer) as server:
        queue = sqs_queue(f"{server.url}/000000000000/q", server.url)
        with pytest.raises(SqsError):
            queue.receive(10, 0)
        queue.close()
    assert len(server.requests) == 1


def test_a_receive_that_hangs_ends_soon_after_its_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "READ_MARGIN", 0.2)
    ended = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        assert ended.wait(PATIENCE)

    with recorder(answer) as server:
        queue = sqs_queue(f"{server.url}/000000000000/q", server.url, wait=0)
        with pytest.raises(SqsError) as caught:
            queue.receive(10, 0)
        assert not ended.is_set()
        ended.set()
        queue.close()
    assert caught.value.code == "ReadTimeoutError"
