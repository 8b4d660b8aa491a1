"""A real browser: Chromium of the system, driven by Playwright."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.viewer import MakeViewer, Viewer, started, work
from tests.integration.worker_rig import Worker

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"there is no {CHROMIUM}: apt-get install --no-install-recommends chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield made
        made.close()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = started()
    yield made
    made.end()


@pytest.fixture
def view(browser: Browser) -> Iterator[MakeViewer]:
    made: list[Viewer] = []

    def make(worker: Worker, **shape: Any) -> Viewer:
        made.append(Viewer(browser, worker, **shape))
        expect(made[-1].page.locator("#figures")).to_be_visible()
        return made[-1]

    yield make
    for one in made:
        one.context.close()


@pytest.fixture(scope="module")
def busy() -> Iterator[Worker]:
    made = started()
    work(made)
    yield made
    made.end()


@pytest.fixture(scope="module")
def looking(browser: Browser, busy: Worker) -> Iterator[Viewer]:
    """One page on the busy worker, for tests that only look."""
    made = Viewer(browser, busy)
    expect(made.page.locator("#figures")).to_be_visible()
    yield made
    made.context.close()
