"""This machine: free ports, and enough memory for the threads."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

from reservation_worker.cli import worker_http
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown, warning
from reservation_worker.errors import OperationError
from reservation_worker.servers.listening import listen

MIB = 1024 * 1024
BASE_MIB, THREAD_MIB = 85, 0.5
"""What a busy worker needs: measured 76 MB with 5 threads, 83 with 100, 98 with 300, and margin."""

_UNLIMITED = 2**60  # v1 reports a number that exceeds any machine's memory
ROOT = Path("/")


def port(prefix: str, known: Known) -> list[CheckResult]:
    """Whether the port named PREFIX_PORT can be listened on."""
    name, field = f"{prefix}_PORT", prefix.lower()
    host, number = known[f"{field}_host"], known[f"{field}_port"]
    try:
        listen(host, number).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            advice = f"correct {prefix}_HOST or {name}"
            return [failure(name, f"{host} and {number} can't be listened on: {error}", advice)]
        if _worker_runs(known):
            advice = (
                "nothing, unless you want to run a second worker here: set SERVER_PORT and"
                " GRPC_DEBUG_PORT to other ports for it (0: any free port)"
            )
            return [warning(name, f"{number} is in use by a worker that runs here", advice)]
        advice = f"end that process (ss -ltnp 'sport = :{number}' names it), or change {name}"
        return [failure(name, f"{number} is in use by another process", advice)]
    return [ok(name, f"{number} on {host} is free" if number else f"any free port on {host}")]


def _worker_runs(known: Known) -> bool:
    """Whether a worker answers on SERVER_PORT, healthy or not."""
    host: str = known.get("server_host", "")
    number: int = known.get("server_port", 0)
    if not host or not number:
        return False
    try:
        answer = worker_http.get(f"{worker_http.base_url(host, number)}/health", 1.0)
        body = json.loads(answer.body)
        return isinstance(body, dict) and "poller" in body.get("checks", ())
    except (OperationError, ValueError, RecursionError, TypeError):
        return False


def memory(known: Known) -> list[CheckResult]:
    """Compares the lowest limit of our control groups with the threads' need."""
    limits = list(_limits(ROOT))
    if not limits:
        detail = "no limit can be read: there is no memory control group"
        return [unknown("memory", detail, "compare the limit with WORKER_CONCURRENCY by hand")]
    limit = min(limits)
    if limit >= _UNLIMITED:
        return [ok("memory", "no limit")]
    return [check_limit("memory", limit, known["worker_concurrency"])]


def check_limit(name: str, limit: int, threads: int) -> CheckResult:
    """Compares a limit in bytes with the need of that many threads."""
    needed = BASE_MIB + THREAD_MIB * threads
    said = (
        f"the limit is {limit / MIB:.0f} MiB; {threads} threads need about {needed:.0f}"
        f" ({BASE_MIB} + {THREAD_MIB:g} each)"
    )
    advice = (
        f"raise the limit to {2 * needed:.0f} MiB or more, or lower WORKER_CONCURRENCY;"
        " set MALLOC_ARENA_MAX=2"
    )
    if limit < needed * MIB:
        return failure(name, f"{said}: it will be OOMKilled", advice)
    if limit < 2 * needed * MIB:
        return warning(name, f"{said}: large messages may get it OOMKilled", advice)
    return ok(name, said)


def _limits(root: Path) -> Iterator[int]:
    """The limits of our control group and its parents, v1 and v2, in bytes."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        v1 = root / "sys/fs/cgroup/memory"
        top, file = (v1, "memory.limit_in_bytes") if controllers else (v1.parent, "memory.max")
        own = top / path.strip("/")
        # In a container the path may be the host's; then the mounted root is our group.
        for group in (own, *own.parents):
            try:
                text = (group / file).read_text().strip()
            except OSError:
                text = ""
            if text:
                yield _UNLIMITED if text == "max" else int(text)
            if group == top:
                break
