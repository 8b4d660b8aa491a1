"""Viewers of the status page while the worker works."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import urllib3

from benchmarks.rig import Process

PERIOD = 5.0
"""Seconds between two requests, as in the page."""


@contextmanager
def watching(members: Sequence[Process], count: int) -> Iterator[None]:
    """This many viewers, each polling at its own time. Raises ChildError if one saw no status."""
    stop = threading.Event()

    def view(place: int) -> None:
        member = members[place % len(members)]
        pause = PERIOD * place / count
        with urllib3.PoolManager(retries=False, timeout=10) as pool:
            while not stop.wait(pause):
                try:
                    answer = pool.request("GET", f"{member.base}/api/v1/status").status
                except urllib3.exceptions.HTTPError as error:
                    raise member.error(f"gave a viewer no status: {error}") from error
                if answer != 200:
                    raise member.error(f"answered a viewer {answer}")
                pause = PERIOD

    with ThreadPoolExecutor(max(1, count)) as pool:
        viewers = [pool.submit(view, place) for place in range(count)]
        try:
            yield
        finally:
            stop.set()
        for viewer in viewers:
            viewer.result()
