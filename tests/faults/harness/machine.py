"""What can be wrong with the machine that a worker runs on; never with the machine of the tests."""

import os
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from reservation_worker.simulator.processes.worker import WorkerProcess

FULL_DISK, CLOSED_PIPE = "full disk", "closed pipe"
"""What its standard output is."""
BLOCKED_PIPE = "blocked pipe"
"""Its standard output and error are one full pipe without a reader."""
HANGING_COLLECTOR = "hanging collector"
"""The span collector takes connections and never answers."""
CLOCK = "clock"
"""Its wall clock can be set (libfaketime); the monotonic one can't, as on any machine."""

_LIMITS = {"fds": resource.RLIMIT_NOFILE, "memory": resource.RLIMIT_DATA}


def libfaketime() -> str | None:
    """Where the library is (Debian: libfaketime), None if it is not installed."""
    found = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return next((str(path) for path in found), None)


def _full_disk() -> IO[bytes]:
    return open("/dev/full", "wb", buffering=0)


def _closed_pipe() -> IO[bytes]:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb", buffering=0)


def _blocked_pipe(undo: ExitStack) -> Callable[[], IO[bytes]]:
    reader, writer = os.pipe()
    undo.callback(os.close, reader)
    undo.callback(os.close, writer)
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    return lambda: os.fdopen(os.dup(writer), "wb", buffering=0)


_OUTPUTS = {FULL_DISK: _full_disk, CLOSED_PIPE: _closed_pipe}


class Machine:
    """The machine of one worker. `undo` ends its processes."""

    def __init__(self, worker: WorkerProcess, faults: tuple[str, ...], undo: ExitStack) -> None:
        self._worker = worker
        self._clock = worker.directory / f"{worker.name}.clock"
        self._limits: dict[int, tuple[int, int]] = {}
        for fault in faults:
            if fault in _OUTPUTS:
                worker.open_stdout = _OUTPUTS[fault]
            elif fault == BLOCKED_PIPE:
                worker.open_stdout = worker.open_stderr = _blocked_pipe(undo)
            elif fault == HANGING_COLLECTOR:
                # The kernel accepts the connections; no process reads them.
                silent = undo.enter_context(socket.create_server(("127.0.0.1", 0)))
                endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
                worker.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
            elif fault == CLOCK:
                self.set_clock(0)
                worker.env |= {
                    "LD_PRELOAD": libfaketime() or "",
                    "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                    "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                    "FAKETIME_DONT_RESET": "1",
                }
            else:
                raise ValueError(f"there is no machine fault {fault!r}")

    def set_clock(self, offset: float) -> None:
        """Its wall clock is `offset` seconds off from now on."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{offset:+.0f}\n")
        new.rename(self._clock)

    def limit(self, what: str, more: int) -> None:
        """Limit it to `more` file descriptors or bytes beyond its present ones."""
        number = _LIMITS[what]
        pid = self._worker.pid
        before = resource.prlimit(pid, number)
        self._limits.setdefault(number, before)
        if what == "fds":
            # Descriptors are numbered; the highest one in use counts.
            has = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1
        else:
            has = 1024 * self._worker.status("VmData")
        resource.prlimit(pid, number, (has + more, before[1]))

    def unlimit(self) -> None:
        """As before `limit`."""
        for number, before in self._limits.items():
            resource.prlimit(self._worker.pid, number, before)
        self._limits.clear()
