"""The profiles over real HTTP: their contents and limits. The probes still answer meanwhile."""

import gzip
import linecache
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from reservation_worker.servers import connections
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.servers.profiles import is_local, make_profiles
from reservation_worker.status.probes import Probes
from reservation_worker.stubs.proto.pprof.v1.profile_pb2 import Profile
from tests.fake_queue import PATIENCE, eventually
from tests.integration.test_health_server import Rig

PATHS = ["/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/threads"]


class ProfiledRig(Rig):
    def new_server(self, port: int) -> HealthServer:
        self.app = make_app(cast(Probes, self.probes), self.metrics.registry)
        self.app.register_blueprint(make_profiles())
        return HealthServer(self.app, "127.0.0.1", port)


@pytest.fixture
def rig() -> Iterator[ProfiledRig]:
    made = ProfiledRig()
    made.server.start()
    yield made
    made.server.stop(PATIENCE)
    tracemalloc.stop()


@pytest.fixture
def standing() -> Iterator[threading.Thread]:
    """A thread that blocks in a function with a name to look for."""
    go = threading.Event()

    def stand_here() -> None:
        go.wait()

    thread = threading.Thread(target=stand_here, name="standing", daemon=True)
    thread.start()
    yield thread
    go.set()


def read(body: bytes) -> Profile:
    return Profile.FromString(gzip.decompress(body))


def stacks_of(profile: Profile) -> list[tuple[str, list[str], list[int]]]:
    """Each sample's thread, functions (innermost first) and values."""
    texts = profile.string_table
    functions = {one.id: texts[one.name] for one in profile.function}
    places = {one.id: functions[one.line[0].function_id] for one in profile.location}
    return [
        (
            "".join(texts[one.str] for one in sample.label if texts[one.key] == "thread"),
            [places[number] for number in sample.location_id],
            list(sample.value),
        )
        for sample in profile.sample
    ]


# Access.


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1", "::1%lo"]
)
def test_loopback_is_this_machine(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.9", "::ffff:10.0.0.9", "fe80::1%eth0", "0.0.0.0", "::", "localhost", "", None],
)
def test_any_other_address_is_another_machine(address: str | None) -> None:
    assert not is_local(address)


@pytest.mark.parametrize("path", PATHS)
def test_a_caller_from_elsewhere_is_refused_whatever_its_headers_say(
    rig: ProfiledRig, path: str
) -> None:
    answer = rig.app.test_client().get(
        path,
        environ_overrides={"REMOTE_ADDR": "10.0.0.9"},
        headers={"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "Host": "localhost"},
    )
    assert answer.status_code == 403
    assert "only for callers on this machine" in answer.get_json()["error"]
    assert not tracemalloc.is_tracing()


# Contents.


def test_a_profile_shows_where_each_thread_is(rig: ProfiledRig, standing: threading.Thread) -> None:
    answer = rig.get("/debug/pprof/profile?seconds=1")
    assert answer.status_code == 200
    profile = read(answer.content)
    texts = profile.string_table
    assert texts[0] == ""
    assert [(texts[one.type], texts[one.unit]) for one in profile.sample_type] == [
        ("samples", "count"),
        ("wall", "nanoseconds"),
    ]
    assert profile.duration_nanos == 1_000_000_000
    [(_, functions, (looks, nanoseconds))] = [
        one for one in stacks_of(profile) if one[0] == "standing"
    ]
    assert functions[0] == "Condition.wait"
    assert any(name.endswith("stand_here") for name in functions)
    # Many samples show it there for the whole time.
    assert looks > 5
    assert 0.9e9 < nanoseconds < 1.1e9


@pytest.mark.parametrize("seconds", ["0", "31", "-1", "1.5", "x", "²", "0" * 5000 + "1"])
def test_a_wrong_duration_is_refused_with_the_allowed_values(
    rig: ProfiledRig, seconds: str
) -> None:
    answer = rig.get(f"/debug/pprof/profile?seconds={seconds}")
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "seconds must be a whole number from 1 to 30",
    )


def test_a_profile_outlives_a_probes_connection_and_keeps_neither_probes_nor_others_waiting(
    rig: ProfiledRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LIFETIME", 0.1)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(rig.get, "/debug/pprof/profile?seconds=3")
        eventually(lambda: rig.get("/debug/pprof/profile?seconds=x").status_code == 400)
        eventually(lambda: b"wall_profile" in rig.get("/debug/threads").content)
        for path in ("/debug/pprof/profile?seconds=1", "/debug/pprof/heap"):
            assert rig.get(path).status_code == 409
        # Probes are answered meanwhile by the three other threads.
        assert [rig.get("/health").status_code for _ in range(20)] == [200] * 20
        assert not under_way.done()
        assert under_way.result(PATIENCE).status_code == 200
    assert rig.get("/debug/pprof/profile?seconds=1").status_code == 200


def test_a_profile_under_way_lets_no_idle_connection_live_longer(
    rig: ProfiledRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LIFETIME", 0.1)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(rig.get, "/debug/pprof/profile?seconds=3")
        eventually(lambda: b"wall_profile" in rig.get("/debug/threads").content)
        with rig.connect(b"GET /") as idle:
            assert idle.recv(1) == b""
        assert not under_way.done()
        assert under_way.result(PATIENCE).status_code == 200


def test_the_heap_is_recorded_from_the_first_request_until_it_is_stopped(
    rig: ProfiledRig,
) -> None:
    first = rig.get("/debug/pprof/heap")
    assert (first.status_code, first.headers["X-Go-Pprof"]) == (202, "1")
    assert "ask again" in first.text
    kept = [bytes(1000) for _ in range(500)]
    profile = read(rig.get("/debug/pprof/heap").content)
    here = [one for one in stacks_of(profile) if one[1][0].startswith("integration/test_profiles")]
    assert any(objects >= 500 and size >= 500_000 for _, _, (objects, size) in here)
    del kept
    assert rig.get("/debug/pprof/heap?stop=1").status_code == 200
    assert not tracemalloc.is_tracing()


def test_a_stop_without_a_recording_begins_none(rig: ProfiledRig) -> None:
    answer = rig.get("/debug/pprof/heap?stop=1")
    assert (answer.status_code, answer.json()["error"]) == (409, "no allocations are recorded")
    assert not tracemalloc.is_tracing()


def test_the_threads_are_shown_by_name_with_their_stacks(
    rig: ProfiledRig, standing: threading.Thread
) -> None:
    answer = rig.get("/debug/threads")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.status_code == 200
    parts = {part.split(" (")[0]: part for part in answer.text.split("\n\n")}
    assert "stand_here" in parts["standing"]
    assert "MainThread" in parts


def test_the_threads_are_shown_without_reading_source_files(
    rig: ProfiledRig, standing: threading.Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str | None] = []
    monkeypatch.setattr(linecache, "checkcache", looked.append)
    assert "stand_here" in rig.get("/debug/threads").text
    assert looked == []
