"""The benchmarks' viewers of the status page."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Semaphore, Thread

import pytest

from benchmarks.rig import Process
from benchmarks.viewers import watching
from reservation_worker.simulator.processes.child import ChildError


@contextmanager
def worker(place: Path, status: int, looks: Semaphore) -> Iterator[Process]:
    """Answers each request with `status`; 0: not at all."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            looks.release()
            if status:
                self.send_response(status if self.path == "/api/v1/status" else 404)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Process("worker", [], {}, place, server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_a_viewer_looks_at_the_status_at_once(tmp_path: Path) -> None:
    looks = Semaphore(0)
    with worker(tmp_path, 200, looks) as member, watching([member], 1):
        assert looks.acquire(timeout=30)


@pytest.mark.parametrize(("status", "said"), [(500, "answered a viewer 500"), (0, "nothing")])
def test_a_viewer_who_sees_no_status_fails_the_run(tmp_path: Path, status: int, said: str) -> None:
    looks = Semaphore(0)
    with (
        pytest.raises(ChildError, match=said),
        worker(tmp_path, status, looks) as member,
        watching([member], 1),
    ):
        assert looks.acquire(timeout=30)


def test_a_run_without_viewers_does_not_fail(tmp_path: Path) -> None:
    with watching([Process("worker", [], {}, tmp_path, 1)], 0):
        pass
