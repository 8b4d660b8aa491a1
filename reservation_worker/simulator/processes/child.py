"""A child process that never outlives its `with` block; its errors quote its last output."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import requests

_PACKAGES = Path(__file__).resolve().parents[3]
_TAIL = 4000
# The calls and the ledger of 50,000 events take a busy machine more than half a minute.
_HTTP_TIMEOUT = 300.0
# Variables that a child inherits: for Python, the language and coverage, and nothing that would
# configure it (AWS_*, OTEL_*, *_PROXY and so on).
_INHERITED = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "TZ", "LD_LIBRARY_PATH")


class ChildError(Exception):
    """A child process failed; the text ends with its last output."""


def poll_until(check: Callable[[], bool], timeout: float, pause: float = 0.05) -> bool:
    """Call `check` until it is true; false when `timeout` seconds were not enough."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


class Child:
    """Starts a command in a new directory, with its output in files there.

    A given `directory` is kept, else it is temporary. `_up` of a subclass waits for the start.
    """

    name = "child"

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.env = dict(env or {})
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        # Tests replace these with outputs that are full, closed or never read.
        self.open_stdout: Callable[[], IO[bytes]] = lambda: self.stdout.open("ab")
        self.open_stderr: Callable[[], IO[bytes]] = lambda: self.stderr.open("ab")

    @property
    def directory(self) -> Path:
        """Where it runs and where its output is."""
        if self._directory is None:
            # It may still write while we clean up.
            self._temporary = tempfile.TemporaryDirectory(
                prefix=f"{self.name}-", ignore_cleanup_errors=True
            )
            self._directory = Path(self._temporary.name)
        return self._directory

    @property
    def stdout(self) -> Path:
        """Its standard output, over all starts."""
        return self.directory / f"{self.name}.out"

    @property
    def stderr(self) -> Path:
        """Its standard error, over all starts."""
        return self.directory / f"{self.name}.err"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it is up. Raises ChildError."""
        work = self.directory / f"{self.name}.cwd"
        work.mkdir(parents=True, exist_ok=True)
        env = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        env |= {key: value for key, value in os.environ.items() if key.startswith("COV")}
        paths = [str(_PACKAGES), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        env["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in paths if path)
        env["HOME"] = env["TMPDIR"] = str(work)
        with self.open_stdout() as out, self.open_stderr() as err:
            self.process = subprocess.Popen(
                self.command,
                cwd=work,
                env=env | self.env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                # ctrl-C must reach only us: we end the children in order.
                process_group=0,
            )
        try:
            self._up()
        except BaseException:
            self._end()
            raise
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """End it, gently first; safe before a start and twice."""
        self._end(timeout)
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = self._directory = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self._running()
        process.kill()
        process.wait()

    def suspend(self) -> None:
        """SIGSTOP: it does nothing until `resume`."""
        self.signal(signal.SIGSTOP)
        state = Path(f"/proc/{self.pid}/stat")
        self.until(lambda: state.read_text().rpartition(") ")[2][0] in "tT", 5, "stopped")

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def wait(self, timeout: float) -> int:
        """Wait for its end and return its exit code. Raises ChildError if it does not end."""
        try:
            return self._running().wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.error(f"is still running after {timeout:g} s") from None

    def wait_ended(self) -> int:
        """Wait for its end, however long, and return its exit code."""
        return self._running().wait()

    def tail(self) -> str:
        """The end of its output."""
        parts = []
        for path in (self.stdout, self.stderr):
            if path.exists() and (text := path.read_text(errors="replace")[-_TAIL:].strip()):
                parts.append(f"--- {path}\n{text}")
        return "\n".join(parts) or "(it wrote nothing)"

    def status(self, field: str) -> int:
        """A number of /proc/PID/status, memory in KiB. Raises ChildError if it has ended."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])
        except (OSError, StopIteration):
            raise self.error(f"is gone, and its {field} with it") from None

    def error(self, what: str) -> ChildError:
        """An error of this child, with the end of its output."""
        return ChildError(f"{self.name} {what}\n{self.tail()}")

    def until(self, check: Callable[[], bool], timeout: float, what: str) -> None:
        """Poll `check` while the child lives. Raises ChildError when it ends or time is up."""

        def done() -> bool:
            if not self.alive:
                code = self.process.returncode if self.process else None
                raise self.error(f"ended with exit code {code} before it had {what}")
            return check()

        if not poll_until(done, timeout):
            raise self.error(f"had not {what} after {timeout:g} s")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and not isinstance(error, ChildError) and self.process is not None:
            error.add_note(f"{self.name}:\n{self.tail()}")
        self.stop()

    def _up(self) -> None:
        """Wait until it is up; a hook for subclasses."""

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise ChildError(f"{self.name} was never started")
        return self.process

    def _end(self, timeout: float = 10.0) -> None:
        process = self.process
        if process is None:
            return
        if process.poll() is None:
            # A stopped process would not see the SIGTERM.
            process.send_signal(signal.SIGCONT)
            process.terminate()
        # After the signal: a child that ends with its stdin may have no SIGTERM handler any more.
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Loopback:
    """Asks a child by HTTP on loopback, `timeout` seconds; ignores the environment's proxies."""

    def __init__(self, timeout: float = _HTTP_TIMEOUT) -> None:
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False

    def answer(self, method: str, url: str, body: Any = None) -> requests.Response | None:
        """The answer; None while nobody listens or answers."""
        try:
            return self._session.request(method, url, json=body, timeout=self._timeout)
        except (requests.ConnectionError, requests.Timeout):
            return None
