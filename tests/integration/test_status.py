"""The status document over a real socket: live state, bounded texts, and the API it promises."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from reservation_worker import __version__
from reservation_worker.config.variables import VARIABLES
from reservation_worker.errors import SqsError, TransientError
from reservation_worker.outcome import Ack, DeadLetterReason, Reject
from reservation_worker.pipeline.neighbours import INVENTORY
from reservation_worker.servers.health import make_app
from reservation_worker.status.document import FAILURES, LONGEST
from reservation_worker.status.history import KEPT
from reservation_worker.status.page import make_pages
from reservation_worker.status.probes import Probes
from tests.fake_queue import PATIENCE, eventually, new_metrics
from tests.integration.answers import ANSWERS, ERROR, STATUS, check, names
from tests.integration.worker_rig import Worker

DOCUMENTED = (Path(__file__).parents[2] / "docs/status-page.md").read_text()


def fetch(worker: Worker, path: str, method: str = "GET") -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{worker.port}{path}"
        return session.request(method, url, timeout=PATIENCE)


def status(worker: Worker) -> dict[str, Any]:
    answer = fetch(worker, "/api/v1/status")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    check(found, STATUS)
    return found


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.end()


@pytest.fixture
def started(worker: Worker) -> Worker:
    worker.app.start()
    eventually(lambda: worker.probe("/ready")[0] == 200)
    return worker


def settle_all(worker: Worker, count: int) -> None:
    for _ in range(count):
        worker.queue.send()
    eventually(lambda: not worker.queue.left())


# The API.


def test_the_page_of_the_docs_names_every_path_of_the_port_and_no_other() -> None:
    app = make_app(cast(Probes, None), new_metrics().registry, make_pages(dict, {}))
    paths = {str(rule) for rule in app.url_map.iter_rules()}
    first_cells = re.findall(r"^\| (`/.*?) \|", DOCUMENTED, re.M)
    documented = {path for cell in first_cells for path in re.findall(r"`(/.*?)`", cell)}
    assert paths == documented == set(ANSWERS)


def test_the_page_of_the_docs_names_every_field_of_every_answer() -> None:
    fields = set().union(*(names(shape) for _, shape in ANSWERS.values())) | names(ERROR)
    assert fields <= set(re.findall(r"`(\w+)`", DOCUMENTED))


def test_every_answer_has_its_type_and_exactly_its_fields(started: Worker) -> None:
    for path, (kind, shape) in ANSWERS.items():
        answer = fetch(started, path)
        assert answer.status_code == 200, path
        assert answer.headers["Content-Type"].partition(";")[0] == kind, path
        if shape is not None:
            check(answer.json(), shape)
        head = fetch(started, path, "HEAD")
        assert (head.status_code, head.content) == (answer.status_code, b""), path


def test_every_refusal_is_an_error_in_json(started: Worker) -> None:
    for method, path in (("POST", "/"), ("GET", "/api/v1/"), ("PUT", "/ready")):
        answer = fetch(started, path, method)
        assert answer.status_code in (404, 405), path
        check(answer.json(), ERROR)


def test_the_check_notices_a_field_that_is_missing_unknown_or_of_another_type(
    started: Worker,
) -> None:
    document = status(started)
    wrong: dict[str, dict[str, Any]] = {
        "answer: {'more'}": {"more": 1},
        "answer.condition: 'fine'": {"condition": "fine"},
        "answer.leases: ": {"leases": {}},
        "answer.last_minute": {"last_minute": None},
        r"answer.failures\[0\]: ": {"failures": [{}]},
        "answer.checks: ": {"checks": {"health": [{"name": "x", "ok": 1, "detail": ""}]}},
    }
    for place, change in wrong.items():
        with pytest.raises(AssertionError, match=place):
            check(document | change, STATUS)


@pytest.mark.parametrize(
    ("value", "shape"),
    [(True, int), (-1, int), (1.5, int), (-0.1, float), (None, str), ({}, [int])],
)
def test_the_check_knows_a_number_from_a_bool_and_from_a_negative_one(
    value: Any, shape: Any
) -> None:
    with pytest.raises(AssertionError):
        check(value, shape)


# The document.


def test_an_idle_worker_has_figures_for_all_and_no_findings(started: Worker) -> None:
    found = status(started)
    assert (found["condition"], found["findings"], found["failures"]) == ("ok", [], [])
    assert found["worker"]["version"] == __version__
    assert found["outcomes"]["settled"] == 0
    assert found["pool"] == {
        "threads": 2, "threads_busy": 0, "slots": 12, "in_flight": 0, "waiting": 0,
    }  # fmt: skip
    assert {one["state"] for one in found["breakers"]} == {"closed"}
    assert found["queue"]["visible"] == found["dead_letters"]["depth"] == 0
    assert found["last_minute"]["latency_p95_ms"] is None


def test_a_settled_event_is_counted_and_becomes_part_of_a_point(started: Worker) -> None:
    settle_all(started, 5)
    eventually(lambda: status(started)["outcomes"]["settled"] == 5)
    started.app.history.tick()
    found = status(started)
    assert found["outcomes"]["by_type"]["expired"]["success"] == 5
    assert found["last_minute"]["settled"] == sum(found["series"]["settled"]) == 5
    assert found["last_minute"]["latency_p95_ms"] > 0
    assert found["last_minute"]["oldest_age_seconds"] is not None


def test_events_in_flight_show_in_the_pool_and_the_leases(started: Worker) -> None:
    names = [f"r{number}" for number in range(5)]
    started.work.stand_still(*names)
    started.send(*names)
    eventually(
        lambda: (
            status(started)["pool"]
            == {"threads": 2, "threads_busy": 2, "slots": 12, "in_flight": 5, "waiting": 3}
        )
    )
    found = status(started)
    assert found["leases"]["open"] == 5


def test_a_failure_is_shown_with_its_ids_and_its_reason(started: Worker) -> None:
    started.work.then = lambda event, neighbours: Reject(
        DeadLetterReason.COMPENSATION_REQUIRED, "paid, no seat"
    )
    [message_id] = started.send("rsv_7")
    eventually(lambda: not started.queue.left())
    found = status(started)
    [failure] = found["failures"]
    assert failure["message_id"] == message_id
    assert (failure["reservation_id"], failure["event_id"]) == ("rsv_7", "evt_1")
    assert (failure["reason"], failure["error"]) == ("compensation_required", "paid, no seat")
    assert found["dead_letters"]["by_reason"]["compensation_required"] == 1
    assert found["dead_letters"]["depth"] in (None, 0, 1)  # asked for at most once in 15 s
    assert found["dead_letters"]["last_seconds_ago"] < PATIENCE


def test_long_texts_and_many_failures_are_cut(started: Worker) -> None:
    started.work.then = lambda event, neighbours: Reject(
        DeadLetterReason.PERMANENT_ERROR, "x" * 5_000
    )
    settle_all(started, FAILURES + 3)
    failures = status(started)["failures"]
    assert len(failures) == FAILURES
    assert {len(failure["error"]) for failure in failures} == {LONGEST + 1}


def test_no_password_of_a_url_in_an_error_is_shown(started: Worker) -> None:
    started.work.then = lambda event, neighbours: Reject(
        DeadLetterReason.PERMANENT_ERROR, "http://user:hunter22@api/ says no"
    )
    settle_all(started, 1)
    assert status(started)["failures"][0]["error"] == "http://***@api/ says no"


def test_an_open_breaker_is_the_first_finding(started: Worker) -> None:
    def down(timeout: float) -> None:
        raise TransientError("still away")

    started.neighbour.probe = down  # type: ignore[method-assign]
    breaker = started.app.pipeline.breakers.of(INVENTORY)
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)
    found = status(started)
    assert found["condition"] == "not_ready"
    assert found["findings"][0]["title"] == "inventory is down or too slow"
    [shown] = [one for one in found["breakers"] if one["neighbour"] == INVENTORY]
    assert (shown["state"], shown["in_flight_limit"]) == ("open", 0)
    assert shown["retry_in_seconds"] > 0


def test_a_stop_is_shown_while_it_lasts(started: Worker) -> None:
    started.work.stand_still("slow")
    started.send("slow")
    eventually(lambda: started.work.began == ["slow"])
    stopping = started.stopping()
    found = status(started)
    assert found["worker"]["draining"]
    assert found["condition"] == "draining"
    started.work.let_go()
    assert stopping.code() == 0


def test_before_its_first_receive_it_is_starting(worker: Worker) -> None:
    worker.app.health.start()
    assert status(worker)["condition"] == "starting"


def test_after_a_million_events_the_document_is_no_larger(started: Worker) -> None:
    events, latency = started.app.metrics.events, started.app.metrics.latency
    for number in range(KEPT + 5):
        events.labels("approved", "success").inc(1_000_000)
        latency.labels("approved").observe(0.05 + number / 100)
        started.app.history.tick()
    answer = fetch(started, "/api/v1/status")
    assert answer.json()["outcomes"]["settled"] == (KEPT + 5) * 1_000_000
    assert len(answer.json()["series"]["settled"]) == KEPT
    assert len(answer.content) < 32_000


# SQS is called rarely and delays no viewer.


def test_any_number_of_viewers_costs_one_call(started: Worker) -> None:
    for _ in range(20):
        status(started)
    assert len(started.queue.calls("depths")) == 1


def test_without_a_viewer_sqs_is_not_called(started: Worker) -> None:
    started.app.history.tick()
    assert fetch(started, "/metrics").ok
    assert started.queue.calls("depths") == []


def test_an_sqs_that_hangs_delays_neither_a_probe_nor_the_next_viewer(started: Worker) -> None:
    hold = started.queue.hold("depths")
    with ThreadPoolExecutor(12) as pool:
        viewers = [pool.submit(status, started) for _ in range(12)]
        hold.wait_entered()
        assert started.probe("/health")[0] == 200
        seen = [viewer.result(PATIENCE) for viewer in viewers]
    assert not hold.released.is_set()
    assert {one["queue"]["visible"] for one in seen} == {None}
    assert len(started.queue.calls("depths")) == 1
    hold.release()
    eventually(lambda: status(started)["queue"]["visible"] == 0)


def test_a_refused_depth_is_unknown_and_a_finding(started: Worker) -> None:
    def refuse(receipts: object) -> Any:
        raise SqsError("AccessDenied", "no")

    started.queue.script("depths", refuse)
    status(started)
    eventually(lambda: status(started)["queue"]["problem"] is not None)
    found = status(started)
    assert found["queue"]["visible"] is None
    assert [finding["title"] for finding in found["findings"]] == [
        "The queue's depth can't be read"
    ]


# The settings.


def test_the_settings_are_shown_with_their_sources(started: Worker) -> None:
    shown = fetch(started, "/api/v1/config").json()
    assert set(shown) == {variable.name for variable in VARIABLES}
    assert shown["SQS_WAIT_TIME"] == {"value": "1", "source": "environment"}
    assert shown["MAX_RETRIES"] == {"value": "5", "source": "default"}
    assert shown["SQS_DLQ_URL"] == {"value": None, "source": "default"}


# The page itself; tests/browser has its behaviour.


def test_the_page_allows_its_own_content_only(started: Worker) -> None:
    answer = fetch(started, "/")
    rules = dict(
        rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; ")
    )
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["script-src"].startswith("'sha256-")
    assert rules["style-src"].startswith("'sha256-")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_many_viewers_at_once_are_all_answered_while_events_are_settled(started: Worker) -> None:
    stop = threading.Event()
    started.work.then = lambda event, neighbours: Ack()

    def look() -> int:
        seen = 0
        while not stop.is_set():
            seen += fetch(started, "/api/v1/status").status_code == 200
        return seen

    with ThreadPoolExecutor(4) as pool:
        viewers = [pool.submit(look) for _ in range(4)]
        settle_all(started, 50)
        stop.set()
        assert all(viewer.result(PATIENCE) for viewer in viewers)
    assert status(started)["outcomes"]["settled"] == 50
