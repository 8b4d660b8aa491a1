"""The probes over real HTTP: green or red by their checks, whatever clients do."""

import errno
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from reservation_worker.observability.metrics import Metrics
from reservation_worker.servers import listening
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.status.page import make_pages
from reservation_worker.status.probes import Check, Probes
from tests.fake_queue import PATIENCE, new_metrics

GOOD = Check("first", True, "fine")
BAD = Check("second", False, "broken")


class FakeProbes:
    """Replaces Probes with the checks that a test sets."""

    def __init__(self) -> None:
        self.health_checks = [GOOD]
        self.ready_checks = [GOOD]

    def health(self) -> list[Check]:
        return self.health_checks

    def ready(self) -> list[Check]:
        return self.ready_checks


class Rig:
    def __init__(self) -> None:
        self.probes = FakeProbes()
        self.metrics: Metrics = new_metrics()
        self.server = self.new_server(0)
        self.port = self.server.port

    def new_server(self, port: int) -> HealthServer:
        pages = make_pages(lambda: {"condition": "ok"}, {})
        app = make_app(cast(Probes, self.probes), self.metrics.registry, pages)
        return HealthServer(app, "127.0.0.1", port)

    def get(self, path: str, method: str = "GET") -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://127.0.0.1:{self.port}{path}"
            return session.request(method, url, timeout=PATIENCE)

    def connect(self, first_bytes: bytes = b"") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.sendall(first_bytes)
        return client


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    made.server.start()
    yield made
    made.server.stop(PATIENCE)


HEALTH = ["/health", "/healthz"]
READY = ["/ready", "/readyz"]


def test_a_probe_is_green_when_all_its_checks_are(rig: Rig) -> None:
    for path in HEALTH + READY:
        answer = rig.get(path)
        assert answer.status_code == 200, path
        assert answer.json() == {
            "status": "ok",
            "failing": [],
            "checks": {"first": {"ok": True, "detail": "fine"}},
        }


def test_a_probe_is_red_by_its_own_checks_only(rig: Rig) -> None:
    codes = dict.fromkeys(HEALTH + READY, 200)
    rig.probes.ready_checks = [GOOD, BAD]
    codes |= dict.fromkeys(READY, 503)
    assert {path: rig.get(path).status_code for path in codes} == codes
    rig.probes.health_checks, rig.probes.ready_checks = [GOOD, BAD], [GOOD]
    codes |= dict.fromkeys(HEALTH, 503) | dict.fromkeys(READY, 200)
    assert {path: rig.get(path).status_code for path in codes} == codes


def test_a_red_probe_names_the_failing_checks_with_their_details(rig: Rig) -> None:
    rig.probes.ready_checks = [GOOD, BAD]
    body = rig.get("/ready").json()
    assert (body["status"], body["failing"]) == ("fail", ["second"])
    assert body["checks"]["second"] == {"ok": False, "detail": "broken"}
    assert body["checks"]["first"]["ok"]


def test_a_probe_runs_its_checks_each_time(rig: Rig) -> None:
    seen = []
    for checks in ([GOOD], [BAD], [GOOD]):
        rig.probes.health_checks = checks
        seen.append(rig.get("/health").status_code)
    assert seen == [200, 503, 200]


def test_a_probe_with_a_bug_is_red(rig: Rig) -> None:
    rig.probes.health_checks = cast(Any, None)
    assert rig.get("/health").status_code == 500


def test_metrics_are_in_the_format_of_prometheus(rig: Rig) -> None:
    rig.metrics.poll_errors.inc(3)
    answer = rig.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "sqs_poll_errors_total 3.0\n" in answer.text


def test_every_other_path_is_a_404_in_json(rig: Rig) -> None:
    for path in ("/nothing", "/health/x", "/static/x", "/metrics/../etc/passwd"):
        answer = rig.get(path)
        assert answer.status_code == 404, path
        assert "error" in answer.json()


def test_a_head_request_is_answered_too(rig: Rig) -> None:
    assert rig.get("/health", "HEAD").status_code == 200


# Clients that misbehave.


def test_slow_clients_do_not_block_a_probe(rig: Rig) -> None:
    slow = [rig.connect(b"GET /hea") for _ in range(20)]
    slow += [rig.connect(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: ") for _ in range(20)]
    slow += [rig.connect() for _ in range(20)]
    assert rig.get("/health").status_code == 200
    for client in slow:
        client.close()


def test_a_client_that_sends_garbage_affects_no_other_client(rig: Rig) -> None:
    for nonsense in (b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        rig.connect(nonsense).close()
    assert rig.get("/health").status_code == 200


def test_a_request_that_is_too_large_is_refused(rig: Rig) -> None:
    # Only just too large: bytes that the server leaves unread make the kernel reset the connection.
    with rig.connect(b"GET /health HTTP/1.1\r\nX: " + b"x" * 16 * 1024) as client:
        assert b" 431 " in client.recv(100)
    assert rig.get("/health").status_code == 200


def test_many_probes_at_once_are_all_answered(rig: Rig) -> None:
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda _: rig.get("/ready").status_code, range(64)))
    assert codes == [200] * 64


def test_a_check_that_hangs_delays_no_other_request(rig: Rig) -> None:
    released = threading.Event()

    def hang() -> list[Check]:
        assert released.wait(PATIENCE)
        return [GOOD]

    rig.probes.ready = hang  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(rig.get, "/ready")
        assert rig.get("/health").status_code == 200
        assert not hanging.done()
        released.set()
        assert hanging.result().status_code == 200


# Start and stop.


def test_after_the_stop_connections_are_refused(rig: Rig) -> None:
    idle = rig.connect()
    rig.server.stop(PATIENCE)
    idle.close()
    with pytest.raises(requests.ConnectionError):
        rig.get("/health")


@pytest.mark.parametrize("before", [lambda server: server.start(), lambda server: None])
def test_the_port_is_free_again_after_the_stop(
    before: Callable[[HealthServer], None],
) -> None:
    rig = Rig()
    before(rig.server)
    rig.server.stop(PATIENCE)
    again = rig.new_server(rig.port)
    assert again.port == rig.port
    again.stop(PATIENCE)


def test_a_stop_is_safe_twice_and_before_the_start() -> None:
    rig = Rig()
    rig.server.stop(PATIENCE)
    rig.server.stop(PATIENCE)
    started = Rig()
    started.server.start()
    started.server.stop(PATIENCE)
    started.server.stop(PATIENCE)


def test_a_second_stop_is_safe_while_a_request_holds_up_the_first(rig: Rig) -> None:
    entered, released = threading.Event(), threading.Event()

    def hang() -> list[Check]:
        entered.set()
        assert released.wait(PATIENCE)
        return [GOOD]

    rig.probes.ready = hang  # type: ignore[method-assign]
    with rig.connect(b"GET /ready HTTP/1.0\r\n\r\n"):
        assert entered.wait(PATIENCE)
        rig.server.stop(0.2)
        rig.server.stop(0.2)
        released.set()


def test_a_port_that_is_taken_is_an_error_at_once(rig: Rig) -> None:
    with pytest.raises(OSError, match="in use"):
        rig.new_server(rig.port)


def answers(host: str, *asked: str) -> None:
    app = make_app(cast(Probes, FakeProbes()), new_metrics().registry)
    server = HealthServer(app, host, 0)
    server.start()
    with requests.Session() as session:
        session.trust_env = False
        for name in asked:
            assert session.get(f"http://{name}:{server.port}/health", timeout=PATIENCE).ok, name
    server.stop(PATIENCE)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize(
    ("host", "asked"), [("::1", ["[::1]"]), ("::", ["[::1]", "127.0.0.1"])], ids=["one", "all"]
)
def test_it_listens_on_ipv6_and_by_default_on_ipv4_too(host: str, asked: list[str]) -> None:
    answers(host, *asked)


def no_dualstack() -> bool:
    return False


def no_address(*args: Any, **options: Any) -> Any:
    if options["family"] == socket.AF_INET6:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    return create_server(*args, **options)


create_server = socket.create_server


@pytest.mark.parametrize(
    ("name", "lacking"), [("has_dualstack_ipv6", no_dualstack), ("create_server", no_address)]
)
def test_on_a_machine_without_ipv6_it_listens_on_every_ipv4_address(
    monkeypatch: pytest.MonkeyPatch, name: str, lacking: Callable[..., Any]
) -> None:
    monkeypatch.setattr(socket, name, lacking)
    answers("::", "127.0.0.1")


def test_without_a_free_descriptor_it_pauses_and_answers_when_there_is_one_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: SimpleQueue[float] = SimpleQueue()
    monkeypatch.setattr(listening, "time", SimpleNamespace(sleep=pauses.put))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket()
    client.settimeout(PATIENCE)
    with client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, before[1]))
        try:
            client.connect(("127.0.0.1", rig.port))
            assert [pauses.get(timeout=PATIENCE) for _ in range(2)] == [listening.PAUSE] * 2
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(15).startswith(b"HTTP/1.1 200")
