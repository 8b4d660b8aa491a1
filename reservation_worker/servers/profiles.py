"""/debug on the HTTP server: profiles for `go tool pprof` or speedscope, and all threads' stacks.

Only for callers on this machine: a profile costs CPU and reveals internals of the process.
"""

import ipaddress
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

from reservation_worker.observability.stacks import Stack, stacks
from reservation_worker.servers.pprof import Frame, ProfileBuilder
from reservation_worker.web import Answer, Page, as_json

LONGEST = 30
"""The longest profile, in seconds."""
DEFAULT = 10
INTERVAL = 0.01
"""The time between two samples of all threads, in seconds."""
TEXT = "text/plain; charset=utf-8"
HEAP_FRAMES = 1
"""The number of frames kept of an allocation's stack.

While the heap is recorded, an event takes 2.6 times its CPU, with 4 frames 5 times, with 8 frames 9
times. PYTHONTRACEMALLOC=8 records from the start on.
"""


def is_local(address: str | None) -> bool:
    """Whether a peer's address is this machine's loopback."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def make_profiles() -> dict[str, Page]:
    """The pages below /debug. One profile at a time, so that the probes keep three threads."""
    profiling = threading.Lock()

    def one_at_a_time(take: Callable[[], Answer]) -> Answer:
        if not profiling.acquire(blocking=False):
            return _refused("another profile is being taken: ask again when it has ended", 409)
        try:
            return take()
        finally:
            profiling.release()

    def wall(environ: WSGIEnvironment) -> Answer:
        asked = _query(environ).get("seconds", str(DEFAULT))
        if not (
            asked.isascii() and asked.isdigit() and len(asked) <= 2 and 1 <= int(asked) <= LONGEST
        ):
            return _refused(f"seconds must be a whole number from 1 to {LONGEST}", 400)
        return one_at_a_time(lambda: _profile(wall_profile(int(asked))))

    pages: dict[str, Page] = {
        "/debug/pprof/profile": wall,
        "/debug/pprof/heap": lambda environ: one_at_a_time(lambda: _heap(environ)),
        "/debug/threads": _threads,
    }
    return {path: _local_only(page) for path, page in pages.items()}


def _local_only(page: Page) -> Page:
    def answer(environ: WSGIEnvironment) -> Answer:
        # The peer of the connection: a header could be forged.
        if is_local(environ.get("REMOTE_ADDR")):
            return page(environ)
        return _refused("only for callers on this machine: go through kubectl port-forward", 403)

    return answer


def _heap(environ: WSGIEnvironment) -> Answer:
    stop = "stop" in _query(environ)
    if tracemalloc.is_tracing():
        body = heap_profile()
        if stop:
            tracemalloc.stop()
        return _profile(body)
    if stop:
        return _refused("no allocations are recorded", 409)
    tracemalloc.start(HEAP_FRAMES)
    return Answer(
        b"recording of allocations begins now: ask again for those that still live;"
        b" /debug/pprof/heap?stop=1 is the last answer and ends it\n",
        TEXT,
        202,
        # With it `go tool pprof` shows this text.
        (("X-Go-Pprof", "1"),),
    )


def _threads(environ: WSGIEnvironment) -> Answer:
    parts = [
        "\n".join([f"{stack.thread} ({stack.ident})", *(f"  {line}" for line in stack.lines())])
        for stack in sorted(stacks(), key=lambda one: one.thread)
    ]
    return Answer(("\n\n".join(parts) + "\n").encode(errors="replace"), TEXT)


def _query(environ: WSGIEnvironment) -> dict[str, str]:
    return dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))


def wall_profile(seconds: int) -> bytes:
    """Samples of all other threads, every INTERVAL for `seconds`: wall time, not CPU time."""
    me = threading.get_ident()
    seen: Counter[tuple[str, tuple[Frame, ...]]] = Counter()
    began = time.monotonic()
    samples = 0
    while (elapsed := time.monotonic() - began) < seconds:
        for stack in stacks():
            if stack.ident != me:
                seen[stack.thread, _frames(stack)] += 1
        samples += 1
        # Samples that a busy machine made us miss are not repeated.
        time.sleep(min(INTERVAL, seconds - elapsed))
    # The real time between two samples.
    period = round(seconds * 1e9 / samples)
    builder = ProfileBuilder([("samples", "count"), ("wall", "nanoseconds")], period)
    for (thread, frames), count in seen.items():
        builder.add(frames, (count, count * period), thread)
    return builder.encode(seconds)


def heap_profile() -> bytes:
    """The living allocations of Python since the recording began, by stack."""
    snapshot = tracemalloc.take_snapshot()
    builder = ProfileBuilder([("inuse_objects", "count"), ("inuse_space", "bytes")])
    for entry in snapshot.statistics("traceback"):
        # tracemalloc does not know the functions.
        frames = [
            (f"{'/'.join(one.filename.split('/')[-2:])}:{one.lineno}", one.filename, one.lineno)
            for one in reversed(entry.traceback)
        ]
        builder.add(frames, (entry.count, entry.size))
    return builder.encode()


def _frames(stack: Stack) -> tuple[Frame, ...]:
    return tuple((code.co_qualname, code.co_filename, line) for code, line in stack.calls())


def _profile(body: bytes) -> Answer:
    return Answer(body, "application/octet-stream")


def _refused(why: str, status: int) -> Answer:
    return as_json({"error": why}, status)
