"""Both neighbours and their control app in one process, as the demo and the tests start it.

It ends on SIGTERM, or when the pipe that is its stdin closes: it does not outlive its parent.
"""

import argparse
from collections.abc import Sequence

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.control import control_app
from reservation_worker.simulator.neighbours.http_server import HttpServer
from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservation_api import ReservationApi
from reservation_worker.simulator.processes.ports import LOOPBACK
from reservation_worker.simulator.processes.serve import serve_until, stop_on_signals


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or the end of stdin."""
    args = _parser().parse_args(argv)
    stop = stop_on_signals()
    ledger = Ledger(args.character, args.key_ttl)
    inventory = InventoryServer(ledger.seats, args.inventory_port, args.host)
    reservation = ReservationApi(ledger.reservations, args.reservation_port, args.host, args.token)
    app = control_app(ledger, {"inventory": inventory, "reservation": reservation})
    control = HttpServer(app, args.control_port, args.host)
    for server in (inventory, reservation):
        server.faults.set_latency(args.latency_ms / 1000, args.jitter_ms / 1000)
    try:
        for service in (inventory, reservation, control):
            service.start()
        ports = {"inventory": inventory.port, "reservation": reservation.port}
        serve_until(stop, **ports, control=control.port)
    finally:
        for service in (control, reservation, inventory):
            service.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neighbours", description="The worker's two neighbours.")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: loopback)")
    for name in ("inventory", "reservation", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0: pick a free one")
    parser.add_argument("--latency-ms", type=float, default=0, help="of every call")
    parser.add_argument(
        "--character",
        type=Character,
        choices=[*Character],
        default=Character.CONTRACT,
        help="the contract's neighbours, or those that run today (default: contract)",
    )
    parser.add_argument(
        "--key-ttl", type=float, metavar="SECONDS", help="how long inventory remembers a key"
    )
    parser.add_argument("--token", default="", help="the bearer token that reservation-api wants")
    parser.add_argument("--jitter-ms", type=float, default=0, help="more or less by this much")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
