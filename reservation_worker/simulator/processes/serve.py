"""A server process from inside: it says its ports, and ends when it is told to or with its parent.

process_server.py is the other side.
"""

import json
import os
import signal
import stat
import sys
import threading


def stop_on_signals() -> threading.Event:
    """What SIGTERM and SIGINT set from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def serve_until(stop: threading.Event, **ports: int) -> None:
    """Say the ports on stdout; return on `stop`, or when the pipe that is stdin closes."""
    sys.stdout.write(json.dumps({"ready": True, **ports}) + "\n")
    sys.stdout.flush()
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    stop.wait()


def _watch_parent(stop: threading.Event) -> None:
    # Not sys.stdin: a thread inside its lock would trip up the interpreter's end.
    while os.read(0, 1024):
        pass
    stop.set()
