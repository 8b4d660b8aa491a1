"""The neighbours' control app: seeds, faults and the ledger, as JSON."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException

from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservation_api import ReservationApi
from reservation_worker.simulator.neighbours.reservations import Record

Server = InventoryServer | ReservationApi


def control_app(ledger: Ledger, servers: Mapping[str, Server]) -> Flask:
    """A URL for each operation that tests and the demo need; `servers` by name."""
    app = Flask("control")

    def chosen(asked: Mapping[str, Any]) -> list[Server]:
        target = asked.get("target", "both")
        return list(servers.values()) if target == "both" else [servers[target]]

    @app.get("/healthz")
    def health() -> Any:
        return {
            name: {"running": server.running, "calls": server.calls.total, **server.faults.state()}
            for name, server in servers.items()
        }

    @app.post("/reservations")
    def seed() -> Any:
        asked = request.get_json()
        records = [Record.from_json(row) for row in asked["reservations"]]
        ledger.seed(records, asked.get("pools"))
        return {"seeded": len(records)}

    @app.post("/faults")
    def faults() -> Any:
        asked = request.get_json()
        for server in chosen(asked):
            _inject(server, asked)
        return health()

    @app.post("/latency")
    def latency() -> Any:
        asked = request.get_json()
        for server in chosen(asked):
            server.faults.set_latency(asked["latency_ms"] / 1000, asked.get("jitter_ms", 0) / 1000)
        return health()

    @app.get("/ledger")
    def dump() -> Any:
        return ledger.dump(request.args.get("since", 0, type=int))

    @app.get("/calls")
    def calls() -> Any:
        return {name: server.calls.rows() for name, server in servers.items()}

    @app.errorhandler(Exception)
    def refused(error: Exception) -> Any:
        if isinstance(error, HTTPException):
            return error
        return {"error": f"{type(error).__name__}: {error}"}, 400

    return app


def _inject(server: Server, asked: Mapping[str, Any]) -> None:
    ids = asked.get("reservation_ids") or []
    after = bool(asked.get("after"))
    match asked["fault"]:
        case "down":
            server.stop()
        case "hang":
            server.faults.hang(ids, after=after)
        case "answer":
            count, rate = asked.get("count", 1), asked.get("rate", 1.0)
            server.faults.answer(asked["answer"], count, ids, after=after, rate=rate)
        case "trouble":
            server.faults.answer({"trouble": True, "name": "trouble"}, 10**9, ids)
        case "restart":
            server.stop()
            server.start()
        case "clear":
            server.faults.clear()
            server.start()
        case other:
            raise ValueError(f"there is no fault {other!r}")
