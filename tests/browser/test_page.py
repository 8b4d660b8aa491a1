"""The status page in a real browser: it shows the worker's status, for every viewer."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from reservation_worker import __version__
from reservation_worker.pipeline.neighbours import INVENTORY
from tests.browser.viewer import PERIOD, MakeViewer, Viewer, started, status, work
from tests.fake_queue import DeadLetter, eventually
from tests.integration.worker_rig import Worker

SHAPES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "phone, dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}


@pytest.mark.parametrize(
    ("load", "shape"),
    [
        ("idle", "light"),
        ("idle", "phone, dark"),
        ("busy", "light"),
        ("busy", "dark"),
        ("busy", "phone"),
    ],
)
def test_it_is_accessible_logs_nothing_and_connects_to_its_worker_only(
    view: MakeViewer, worker: Worker, busy: Worker, shape: str, load: str
) -> None:
    viewer = view(busy if load == "busy" else worker, **SHAPES[shape])
    if load == "busy":
        viewer.page.locator("summary").last.click()
    assert viewer.violations() == []
    assert viewer.console == []
    assert {url.startswith((viewer.base, "data:")) for url in viewer.urls} == {True}
    size = viewer.page.viewport_size
    assert size is not None
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_axe_does_find_violations(view: MakeViewer, worker: Worker) -> None:
    viewer = view(worker)
    viewer.page.evaluate("document.documentElement.removeAttribute('lang')")
    assert viewer.violations() == ["html-has-lang"]


def test_an_idle_worker_is_healthy_and_shows_no_unknown_figure(
    view: MakeViewer, worker: Worker
) -> None:
    viewer = view(worker)
    expect(viewer.page.locator("#headline")).to_contain_text("Healthy")
    expect(viewer.page.locator("#summary")).to_have_text("Idle: no event has come yet.")
    expect(viewer.figure("settled")).to_have_text("0")
    expect(viewer.figure("p95")).to_have_text("\N{EN DASH}")
    expect(viewer.page.locator("#no-failures")).to_be_visible()
    expect(viewer.page.locator("#rate-text")).to_have_text("No events in the last 15 minutes.")


def test_it_shows_the_numbers_of_the_status(looking: Viewer, busy: Worker) -> None:
    said = status(busy)
    expect(looking.figure("settled")).to_have_text(f"{said['outcomes']['settled']:,}")
    assert said["outcomes"]["settled"] > 1_000_000
    expect(looking.figure("threads")).to_have_text(str(said["pool"]["threads"]))
    expect(looking.figure("slots")).to_have_text(str(said["pool"]["slots"]))
    expect(looking.figure("dead")).to_have_text(str(said["dead_letters"]["depth"]))
    expect(looking.figure("p95")).to_have_text(f"{said['last_minute']['latency_p95_ms']:.0f} ms")
    rows = looking.page.locator("#outcomes tr").all_inner_texts()
    for row, (kind, counts) in zip(rows, said["outcomes"]["by_type"].items(), strict=False):
        assert row.split() == [kind, *(f"{counts[name]:,}" for name in (
            "success", "dropped", "retried", "failed", "invalid_payload"))]  # fmt: skip


def test_the_head_names_queue_region_and_version(looking: Viewer) -> None:
    expect(looking.page.locator("h1")).to_have_text("q")
    expect(looking.page.locator("#about")).to_contain_text(
        f"ap-northeast-2 · reservation-worker {__version__} on "
    )
    assert looking.page.title().endswith("· q")


def test_every_time_carries_its_zone(view: MakeViewer, busy: Worker) -> None:
    viewer = view(busy, timezone_id="Asia/Seoul")
    viewer.page.locator("#numbers summary").click()
    viewer.page.locator("#rate-chart > svg").hover()
    time = re.compile(r"\d\d:\d\d(:\d\d)? GMT\+9")
    for place in ("#minutes th", "#failures time", "#rate-text"):
        expect(viewer.page.locator(place).first).to_have_text(time)
    viewer.page.route("**/api/v1/status", lambda route: route.abort())
    viewer.look_again()
    for place in ("#summary", "#old"):
        expect(viewer.page.locator(place)).to_have_text(time)


def test_the_worst_finding_and_its_advice_come_first(looking: Viewer, busy: Worker) -> None:
    looking.condition("attention")
    finding = looking.page.locator("#findings li").first
    expect(finding.locator("h3")).to_have_text(status(busy)["findings"][0]["title"])
    assert finding.locator("code").first.inner_text().startswith("reservation-worker dlq")


def test_markup_in_an_events_text_is_shown_as_text(looking: Viewer, busy: Worker) -> None:
    failure = looking.page.locator("#failures li").first
    expect(failure).to_contain_text("<img src=x onerror=alert(1)>")
    expect(failure).to_contain_text(status(busy)["failures"][0]["message_id"])
    assert looking.page.locator("img").count() == 0


def test_a_chart_has_a_description_in_words_and_a_table(looking: Viewer) -> None:
    for name in ("rate", "latency"):
        chart = looking.page.locator(f"#{name}-chart > svg")
        assert chart.get_attribute("aria-labelledby") == f"{name}-text"
        expect(looking.page.locator(f"#{name}-text")).to_contain_text("highest")
        assert chart.locator("path").count() > 1
    looking.page.locator("#numbers summary").click()
    expect(looking.page.locator("#minutes tr").first).to_be_visible()


def test_a_pointer_on_a_chart_shows_the_figures_of_that_time(looking: Viewer) -> None:
    looking.page.locator("#rate-chart > svg").hover()
    expect(looking.page.locator("#rate-text")).to_contain_text("dead-lettered")
    looking.page.mouse.move(0, 0)
    expect(looking.page.locator("#rate-text")).to_contain_text("highest")


# Updates.


def test_it_updates_itself(view: MakeViewer) -> None:
    worker = started()
    viewer = view(worker)
    expect(viewer.figure("settled")).to_have_text("0")
    worker.send("rsv_1")
    eventually(lambda: status(worker)["outcomes"]["settled"] == 1)
    viewer.look_again()
    expect(viewer.figure("settled")).to_have_text("1")
    worker.end()


def test_a_selected_text_stays_selected_while_it_does_not_change(looking: Viewer) -> None:
    looking.page.locator("#failures .id").first.select_text()
    before = looking.page.evaluate("getSelection().toString()")
    seen_at = looking.page.evaluate("seenAt")
    looking.look_again()
    looking.page.wait_for_function("before => seenAt > before", arg=seen_at)
    assert looking.page.evaluate("getSelection().toString()") == before != ""


def test_a_hidden_page_requests_nothing_and_updates_at_once_when_it_is_shown_again(
    view: MakeViewer, worker: Worker
) -> None:
    viewer = view(worker)
    viewer.hide()
    before = viewer.asked()
    viewer.page.clock.run_for(10 * PERIOD)
    assert viewer.asked() == before
    viewer.hide(hidden=False)
    eventually(lambda: viewer.asked() == before + 1)


# Problems.


def test_letters_of_an_earlier_process_are_no_healthy_idle(view: MakeViewer) -> None:
    worker = started()
    worker.queue.dlq.extend([DeadLetter("{}", {}, None)] * 20_007)
    viewer = view(worker)
    viewer.condition("attention")
    expect(viewer.figure("dead")).to_have_text("20,007")
    expect(viewer.page.locator("#findings")).to_contain_text("20,007 in the dead-letter queue")
    worker.end()


def test_a_mass_failure_is_red_and_its_events_are_not_called_settled(view: MakeViewer) -> None:
    worker = started()
    worker.app.metrics.events.labels("approved", "success").inc()
    worker.app.metrics.events.labels("approved", "failed").inc(1_333)
    worker.app.history.tick()
    viewer = view(worker)
    viewer.condition("critical")
    expect(viewer.page.locator("#condition")).to_have_attribute("data-tone", "bad")
    expect(viewer.page.locator("#summary")).to_contain_text("1 settled in the last minute")
    expect(viewer.page.locator("#summary")).to_contain_text("1,333 dead-lettered")
    expect(viewer.figure("settled")).to_have_text("1")
    assert viewer.violations() == []
    worker.end()


def test_without_a_settled_event_no_latency_is_shown(view: MakeViewer) -> None:
    worker = started()
    worker.app.metrics.events.labels("approved", "retried").inc(2_000)
    worker.app.metrics.latency.labels("approved").observe(0.3)
    worker.app.history.tick()
    viewer = view(worker)
    expect(viewer.figure("p95")).to_have_text("\N{EN DASH}")
    expect(viewer.page.locator("#summary")).to_have_text(
        "Nothing was settled in the last minute; 2,000 retried."
    )
    expect(viewer.page.locator("#latency-text")).to_contain_text("Nothing was settled")
    worker.end()


def test_an_outage_of_a_neighbour_is_shown_with_its_breaker(view: MakeViewer) -> None:
    worker = started()
    viewer = view(worker)
    viewer.condition("ok")
    breaker = worker.app.pipeline.breakers.of(INVENTORY)
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)
    viewer.look_again()
    viewer.condition("not_ready")
    expect(viewer.page.locator("#headline")).to_contain_text("No event gets through")
    expect(viewer.page.locator("#findings")).to_contain_text("inventory is down or too slow")
    expect(viewer.page.locator("#breakers")).to_contain_text("✗ open")
    worker.end()


def test_the_last_figures_of_a_worker_that_is_gone_are_marked_old(
    view: MakeViewer,
) -> None:
    worker = started()
    work(worker)
    viewer = view(worker, **SHAPES["dark"])
    settled = viewer.figure("settled").inner_text()
    worker.end()
    viewer.look_again()
    viewer.condition("lost")
    expect(viewer.page.locator("#headline")).to_contain_text("can't be reached")
    expect(viewer.page.locator("#old")).to_contain_text("Old figures")
    expect(viewer.figure("settled")).to_have_text(settled)
    assert viewer.violations() == []


def test_it_recovers_by_itself(view: MakeViewer, worker: Worker) -> None:
    viewer = view(worker)
    viewer.page.route("**/api/v1/status", lambda route: route.fulfill(status=500, body="{}"))
    viewer.look_again()
    viewer.condition("lost")
    expect(viewer.page.locator("#summary")).to_contain_text("answers 500")
    viewer.page.unroute("**/api/v1/status")
    viewer.look_again()
    viewer.condition("ok")
    expect(viewer.page.locator("#old")).to_be_hidden()
