"""For a server process: announces its ports, and ends on a signal or with its parent.

server.py is the parent's side.
"""

import json
import os
import signal
import stat
import sys
import threading


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def serve_until(stop: threading.Event, **ports: int) -> None:
    """Print the ports; return on `stop`, or when stdin is a pipe and closes."""
    sys.stdout.write(json.dumps({"ready": True, **ports}) + "\n")
    sys.stdout.flush()
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    stop.wait()


def _watch_parent(stop: threading.Event) -> None:
    # Not sys.stdin: a thread that holds its lock would disturb the interpreter's exit.
    while os.read(0, 1024):
        pass
    stop.set()
