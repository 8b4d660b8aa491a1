"""HTTP clients that never go away: the probes still answer and the worker goes on."""

import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

from reservation_worker.servers import connections
from reservation_worker.servers.connections import MOST
from tests.fake_queue import PATIENCE, eventually
from tests.integration.test_health_server import Rig
from tests.security.lines import read_log
from tests.security.raw_http import SECOND, probes_answer, read_all
from tests.world import World, until


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_beyond_the_limit_the_oldest_idle_connection_is_closed(rig: Rig) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(rig.connect(b"GET /")) for _ in range(MOST + 5)]
        eventually(lambda: not any(map(is_open, clients[:5])))
        assert all(map(is_open, clients[6:]))
        probes_answer(f"http://127.0.0.1:{rig.port}")


def test_a_client_that_trickles_bytes_is_disconnected_in_the_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LIFETIME", 0.3)
    with rig.connect(b"GET /health HTTP/1.1\r\nX: ") as client:

        def ended() -> bool:
            # Never idle, as waitress counts it.
            with suppress(ConnectionError):
                client.send(b"x")
            return not is_open(client)

        eventually(ended)


def test_many_requests_on_one_connection_get_one_answer(rig: Rig) -> None:
    # Few enough to be read at once: bytes left unread would reset the connection.
    with rig.connect(SECOND.encode() * 200) as client:
        assert read_all(client).count(b"HTTP/1.1 200") == 1


def test_a_session_goes_on_although_each_answer_ends_its_connection(rig: Rig) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(3):
            answer = session.get(f"http://127.0.0.1:{rig.port}/metrics", timeout=PATIENCE)
            assert (answer.status_code, answer.headers["Connection"]) == (200, "close")


# All of these clients at once, beside a busy worker.


def siege(port: int, stack: ExitStack) -> list[socket.socket]:
    """Clients that send nothing, half a head, half a body, and many that never read."""
    openings = [
        b"",
        b"GET /hea",
        b"GET /health HTTP/1.1\r\nX: ",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
        b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /ready HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        SECOND.encode() * 100,
    ]
    clients = []
    for number in range(2 * MOST):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
        with suppress(ConnectionError):  # it may have been closed by now
            client.sendall(openings[number % len(openings)])
            if not number % 20:
                client.send(b"!", socket.MSG_OOB)
        clients.append(client)
    return clients


def test_under_siege_the_probes_answer_and_the_worker_goes_on_settling() -> None:
    with World(latency_ms=20) as world:
        ids = world.seed(150)
        worker = world.run_worker()
        worker.ready()
        port = int(worker.env["SERVER_PORT"])
        before = worker.metrics().value("process_resident_memory_bytes")
        world.expire(ids)
        while len(world.released()) < len(ids):
            with ExitStack() as stack:
                for client in siege(port, stack):
                    with suppress(OSError):
                        client.send(b"x")
                probes_answer(worker.base)
                assert len(list(Path(f"/proc/{worker.pid}/fd").iterdir())) < MOST + 100
        until(world.empty, 60, "every message is deleted")
        probes_answer(worker.base)
        assert set(world.released().values()) == {1}
        grown = worker.metrics().value("process_resident_memory_bytes") - before
        assert grown < 64 * 1024 * 1024
        worker.signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        noise = [line for line in read_log(worker.stdout) if line["msg"] != "settled"]
        assert [line["msg"].split()[0] for line in noise] == ["reservation-worker", "stopped"]
        assert worker.stderr.read_bytes() == b""
