"""Takes the pictures in docs/screenshots: a real worker under real load, seen by a real browser.

Usage: python benchmarks/screenshots.py [--minutes 15] [--chromium /usr/bin/chromium]

The load is the demo's story at a changing rate, with few of its events that end as dead letters and
with a neighbour that fails now and then; then a backlog, an outage of inventory-svc, a worker that
is gone, and another one that gets the remaining events. One picture each.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.story.scenario import Message, build

TARGET = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
DESKTOP, PHONE = (1200, 1080), (360, 780)
RATE = 12.0
"""Events per second on average, moderate because the machine has other work, too."""
BACKLOG = 900
SOUND = ("expired", "approved", "failed", "nothing to do")
"""The tales without a dead letter."""


def main() -> None:
    """Overwrite the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    args = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    story = build(round(args.minutes * 60 * RATE) + BACKLOG)
    doomed = [message for message in story.messages if message.tale not in SOUND]
    withheld = [message for number, message in enumerate(doomed) if number % 6]
    messages = [message for message in story.messages if message not in withheld]
    with sync_playwright() as playwright, Stack(latency_ms=60, jitter_ms=30) as stack:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=[*FLAGS])
        stack.neighbours.seed(story.seeds, story.pools)
        worker = stack.worker({}, "reservation-worker-5d8f7c9b6-x2k4q").start()
        worker.ready()
        take(browser, worker, "idle")
        flow = stream(messages[:-BACKLOG], args.minutes * 60)
        for number, batch in enumerate(flow):
            if number % 40 == 20:
                stack.neighbours.answer("reservation", {"status": 503, "body": {}}, 6)
            stack.publish(batch)
        take(browser, worker, "light")
        take(browser, worker, "dark", dark=True)
        take(browser, worker, "phone", PHONE)
        stack.publish(messages[-BACKLOG:])
        stack.neighbours.latency(600, 300)
        worker.until(lambda: busy(worker) >= 20, 60, "all threads busy")
        time.sleep(20)
        take(browser, worker, "busy", dark=True)
        stack.neighbours.down("inventory")
        worker.until(lambda: worker.probe("/ready")[0] == 503, 60, "opened a breaker")
        time.sleep(12)
        page = take(browser, worker, "outage", close=False)
        worker.kill()
        page.wait_for_selector("body.stale", timeout=30_000)
        shoot(page, "unreachable")
        stack.neighbours.restart("inventory")
        stack.neighbours.latency(60, 30)
        worker = stack.worker({}, "reservation-worker-5d8f7c9b6-q7w1z").start()
        worker.ready()
        stack.publish(withheld)
        worker.until(lambda: critical(worker), 120, "found too many dead letters")
        time.sleep(30)
        take(browser, worker, "critical")
        browser.close()


def stream(messages: list[Message], seconds: float) -> Iterator[list[Message]]:
    """The messages in real time, at a rate that goes up and down."""
    began, sent = time.monotonic(), 0
    while sent < len(messages):
        time.sleep(0.5)
        passed = min(1.0, (time.monotonic() - began) / seconds)
        due = round(len(messages) * (passed - 0.06 * math.sin(passed * 4 * math.pi)))
        yield list(messages[sent:due])
        sent = max(sent, due)


def busy(worker: WorkerProcess) -> float:
    """How many threads have a message."""
    return worker.metrics().value("worker_active_goroutines")


def critical(worker: WorkerProcess) -> bool:
    """Whether its status page is red because of dead letters."""
    return bool(worker.probe("/api/v1/status")[1]["condition"] == "critical")


def take(
    browser: Browser,
    worker: WorkerProcess,
    name: str,
    size: tuple[int, int] = DESKTOP,
    *,
    dark: bool = False,
    close: bool = True,
) -> Page:
    """A picture of the page as it is now."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        device_scale_factor=2 if size == PHONE else 1,
    )
    page.goto(worker.base)
    page.wait_for_selector("#figures:not([hidden])")
    page.wait_for_timeout(6_000)  # one update: by now SQS has answered with the depths
    shoot(page, name)
    if close:
        page.close()
    return page


def shoot(page: Page, name: str) -> None:
    """Write it."""
    path = TARGET / f"{name}.png"
    page.screenshot(path=path)
    print(f"{path.relative_to(TARGET.parents[1])}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
