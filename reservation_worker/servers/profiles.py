"""/debug on the HTTP server: profiles for `go tool pprof` or speedscope, and all threads' stacks.

Only for callers on this machine: a profile costs CPU and reveals internals of the process.
"""

import ipaddress
import threading
import time
import tracemalloc
from collections import Counter

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from reservation_worker.observability.stacks import Stack, stacks
from reservation_worker.servers.pprof import Frame, ProfileBuilder

LONGEST = 30
"""The longest profile, in seconds."""
DEFAULT = 10
INTERVAL = 0.01
"""The time between two samples of all threads, in seconds."""
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


def make_profiles() -> Blueprint:
    """The routes below /debug. One profile at a time, so that the probes keep three threads."""
    routes = Blueprint("profiles", __name__, url_prefix="/debug")
    profiling = threading.Lock()

    @routes.before_request
    def local_only() -> ResponseReturnValue | None:
        # The peer of the connection: a header could be forged.
        if is_local(request.environ.get("REMOTE_ADDR")):
            return None
        return _refused("only for callers on this machine: go through kubectl port-forward", 403)

    @routes.get("/pprof/profile")
    def profile() -> ResponseReturnValue:
        asked = request.args.get("seconds", str(DEFAULT))
        if not (
            asked.isascii() and asked.isdigit() and len(asked) <= 2 and 1 <= int(asked) <= LONGEST
        ):
            return _refused(f"seconds must be a whole number from 1 to {LONGEST}", 400)
        if not profiling.acquire(blocking=False):
            return _refused("another profile is being taken: ask again when it has ended", 409)
        try:
            return _profile(wall_profile(int(asked)))
        finally:
            profiling.release()

    @routes.get("/pprof/heap")
    def heap() -> ResponseReturnValue:
        if not profiling.acquire(blocking=False):
            return _refused("another profile is being taken: ask again when it has ended", 409)
        try:
            if not tracemalloc.is_tracing():
                if "stop" in request.args:
                    return _refused("no allocations are recorded", 409)
                tracemalloc.start(HEAP_FRAMES)
                return Response(
                    "recording of allocations begins now: ask again for those that still live;"
                    " /debug/pprof/heap?stop=1 is the last answer and ends it\n",
                    202,
                    # With it `go tool pprof` shows this text.
                    {"X-Go-Pprof": "1"},
                    content_type="text/plain; charset=utf-8",
                )
            body = heap_profile()
            if "stop" in request.args:
                tracemalloc.stop()
            return _profile(body)
        finally:
            profiling.release()

    @routes.get("/threads")
    def threads() -> ResponseReturnValue:
        parts = [
            "\n".join([f"{stack.thread} ({stack.ident})", *(f"  {line}" for line in stack.lines())])
            for stack in sorted(stacks(), key=lambda one: one.thread)
        ]
        return Response("\n\n".join(parts) + "\n", content_type="text/plain; charset=utf-8")

    return routes


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


def _profile(body: bytes) -> Response:
    return Response(body, content_type="application/octet-stream")


def _refused(why: str, status: int) -> ResponseReturnValue:
    return jsonify(error=why), status
