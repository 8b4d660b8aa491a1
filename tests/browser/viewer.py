"""A worker with a page to look at, and a browser that looks at it."""

from collections.abc import Callable
from typing import Any

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from reservation_worker.outcome import DeadLetterReason, Reject
from tests.fake_queue import PATIENCE, eventually
from tests.integration.worker_rig import Worker

PERIOD = 5_000
"""The interval of the page's updates, in ms."""


class Viewer:
    """A page with its console and its requests; the page's clock is moved by the test."""

    def __init__(self, browser: Browser, worker: Worker, **shape: Any) -> None:
        self.context = browser.new_context(**shape)
        self.page: Page = self.context.new_page()
        self.console: list[str] = []
        self.urls: list[str] = []
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("request", lambda request: self.urls.append(request.url))
        self.page.clock.install()
        self.base = f"http://127.0.0.1:{worker.port}"
        self.page.goto(self.base)

    def figure(self, name: str) -> Any:
        return self.page.locator(f'[data-figure="{name}"]')

    def asked(self) -> int:
        """The number of its requests for the status so far."""
        self.page.evaluate("1")  # after its answer all earlier events of the browser have arrived
        return sum(url.endswith("/status") for url in self.urls)

    def look_again(self) -> None:
        self.page.clock.run_for(PERIOD)

    def drawn(self, again: Callable[[], None]) -> None:
        """Do `again` and wait until the page has drawn a newer status."""
        seen_at = self.page.evaluate("seen.worker.now")
        again()
        self.page.wait_for_function("before => seen.worker.now > before", arg=seen_at)

    def hide(self, *, hidden: bool = True) -> None:
        """Put the tab into the background, or bring it back."""
        self.page.evaluate(
            """hidden => {
                Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    def violations(self) -> list[str]:
        """What axe finds, of whatever impact."""
        return [one["id"] for one in Axe().run(self.page).response["violations"]]

    def condition(self, name: str) -> None:
        """Wait until the page shows this condition."""
        expect(self.page.locator("#condition")).to_have_attribute("data-condition", name)


def started() -> Worker:
    made = Worker()
    made.app.start()
    eventually(lambda: made.probe("/ready")[0] == 200)
    return made


def work(worker: Worker) -> None:
    """A million events, a history, and failures of all kinds, some with hostile texts."""
    worker.app.metrics.events.labels("approved", "success").inc(1_000_000)
    for number in range(30):
        worker.app.metrics.events.labels("expired", "success").inc(number % 7)
        worker.app.metrics.events.labels("expired", "retried").inc(number % 2)
        worker.app.metrics.latency.labels("expired").observe(0.02 + number / 100)
        worker.app.history.tick()
    worker.work.then = lambda event, neighbours: Reject(
        DeadLetterReason.COMPENSATION_REQUIRED, "<img src=x onerror=alert(1)> " + "x" * 400
    )
    worker.send(*(f"rsv_{number}" for number in range(12)))
    eventually(lambda: not worker.queue.left())


def status(worker: Worker) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{worker.port}/api/v1/status"
        found: dict[str, Any] = session.get(url, timeout=PATIENCE).json()
        return found


MakeViewer = Callable[..., Viewer]
