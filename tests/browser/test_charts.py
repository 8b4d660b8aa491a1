"""The charts in a real browser: they show the newest figures, at whatever size and time."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.viewer import Viewer, started, status
from tests.integration.worker_rig import Worker

CHARTS = ("rate", "latency")
MINUTES = 60_000
"""In ms."""


@pytest.fixture(scope="module")
def grown() -> Iterator[Worker]:
    made = started()
    grow(made, 10)
    yield made
    made.end()


@pytest.fixture
def viewer(browser: Browser, grown: Worker) -> Iterator[Viewer]:
    made = Viewer(browser, grown)
    expect(made.page.locator("#figures")).to_be_visible()
    yield made
    made.context.close()


def grow(worker: Worker, events: int) -> None:
    """Add a point to the history: this many events, each of as many ms."""
    worker.app.metrics.events.labels("approved", "success").inc(events)
    for _ in range(events):
        worker.app.metrics.latency.labels("approved").observe(events / 1000)
    worker.app.history.tick()


def check_charts(viewer: Viewer, worker: Worker) -> None:
    """Each chart shows the status's figures on axes that fit them, beside its legend."""
    series = status(worker)["series"]
    rates = [n / s if s else 0 for n, s in zip(series["settled"], series["seconds"], strict=True)]
    highest = {"rate": max(rates), "latency": max(filter(None, series["latency_p95_ms"]))}
    for name in CHARTS:
        figure = viewer.page.locator(f"#{name}-chart")
        svg = figure.locator("> svg")
        [axis] = svg.evaluate_all("all => all.map(svg => Number(svg.dataset.top))")
        assert highest[name] * 0.99 <= axis <= highest[name] * 2
        [peak] = svg.locator("path.first").evaluate_all(
            "all => [Math.min(...all.map(path => path.getBBox().y))]"
        )
        # The plot is 142 px high below a margin of 8 px.
        assert peak == pytest.approx(8 + 142 * (1 - highest[name] / axis), abs=1)
        width = svg.evaluate("svg => svg.clientWidth")
        assert svg.get_attribute("viewBox") == f"0 0 {width} 170"
        swatches = figure.locator(".legend svg")
        assert {swatches.nth(i).locator("*").count() for i in range(swatches.count())} == {1}


def test_the_tenth_drawing_shows_the_newest_figures_on_axes_that_fit_them(
    viewer: Viewer, grown: Worker
) -> None:
    for number in range(2, 11):
        grow(grown, 20 * number)
        viewer.drawn(viewer.look_again)
    check_charts(viewer, grown)


def test_a_chart_is_drawn_anew_for_a_resized_window(viewer: Viewer, grown: Worker) -> None:
    viewer.drawn(viewer.look_again)
    for width in (1_100, 700, 360):
        viewer.page.set_viewport_size({"width": width, "height": 800})
        drawn = "svg => svg.getAttribute('viewBox') === `0 0 ${svg.clientWidth} 170`"
        for name in CHARTS:
            svg = viewer.page.locator(f"#{name}-chart > svg")
            expect(svg).to_be_visible()
            viewer.page.wait_for_function(drawn, arg=svg.element_handle())
        check_charts(viewer, grown)


def test_a_chart_is_up_to_date_after_the_tab_slept_in_the_background(
    viewer: Viewer, grown: Worker
) -> None:
    viewer.hide()
    viewer.page.clock.fast_forward(10 * MINUTES)
    grow(grown, 400)
    viewer.drawn(lambda: viewer.hide(hidden=False))
    check_charts(viewer, grown)


def test_a_chart_is_up_to_date_after_the_whole_machine_slept(viewer: Viewer, grown: Worker) -> None:
    grow(grown, 800)
    viewer.drawn(lambda: viewer.page.clock.fast_forward(600 * MINUTES))
    check_charts(viewer, grown)
