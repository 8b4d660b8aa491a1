"""Both neighbours and their control app in one process, as the demo and the tests start it.

It ends on SIGTERM, or when the pipe that is its stdin closes: it does not outlive its parent.
"""

import argparse
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Sequence

from reservation_worker.simulator.control import Control
from reservation_worker.simulator.http_server import HOST, HttpServer
from reservation_worker.simulator.inventory import InventoryServer
from reservation_worker.simulator.ledger import Ledger
from reservation_worker.simulator.reservation_api import ReservationApi


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop."""
    args = _parser().parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ledger = Ledger()
    inventory = InventoryServer(ledger.seats, args.inventory_port, args.host)
    reservation = ReservationApi(ledger.reservations, args.reservation_port, args.host)
    app = Control(ledger, inventory, reservation).app
    control = HttpServer(app, args.control_port, threads=8, host=args.host)
    for server in (inventory, reservation):
        server.faults.set_latency(args.latency_ms / 1000, args.jitter_ms / 1000)
    try:
        for service in (inventory, reservation, control):
            service.start()
        ports = {"inventory": inventory.port, "reservation": reservation.port}
        ready = {"ready": True, **ports, "control": control.port}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
        stop.wait()
    finally:
        for service in (control, reservation, inventory):
            service.stop()
    return 0


def _watch_parent(stop: threading.Event) -> None:
    # Not sys.stdin: a thread inside its lock would trip up the interpreter's end.
    while os.read(0, 1024):
        pass
    stop.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neighbours", description="The worker's two neighbours.")
    parser.add_argument("--host", default=HOST, help="address to listen on (default: loopback)")
    for name in ("inventory", "reservation", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0: pick a free one")
    parser.add_argument("--latency-ms", type=float, default=0, help="of every call")
    parser.add_argument("--jitter-ms", type=float, default=0, help="more or less by this much")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
