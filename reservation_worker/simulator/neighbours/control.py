"""The simulator's control app: seeds, faults and the ledger, as JSON."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.simulator.neighbours.ledger import Ledger, Record
from reservation_worker.simulator.neighbours.reservation_api import ReservationApi

Server = InventoryServer | ReservationApi


class Control:
    """A URL for each operation that tests and the demo need."""

    def __init__(
        self, ledger: Ledger, inventory: InventoryServer, reservation: ReservationApi
    ) -> None:
        self._ledger = ledger
        self._reservation = reservation
        self._servers: dict[str, Server] = {"inventory": inventory, "reservation": reservation}
        self.app = Flask("control")
        self._route("/reservations", "POST", self._seed)
        self._route("/faults", "POST", self._faults)
        self._route("/latency", "POST", self._latency)
        self._route("/token", "POST", self._token)
        self._route("/overturn", "POST", self._overturn)
        self._route("/ledger", "GET", self._dump)
        self._route("/calls", "GET", self._calls)
        self._route("/healthz", "GET", self._health)

    def _route(self, path: str, method: str, act: Callable[[], Any]) -> None:
        def view() -> tuple[Response, int]:
            try:
                return jsonify(act()), 200
            except HTTPException:
                raise
            except (KeyError, TypeError, ValueError, OSError) as error:
                return jsonify({"error": f"{type(error).__name__}: {error}"}), 400

        self.app.add_url_rule(path, path, view, methods=[method])

    def _seed(self) -> Any:
        asked = request.get_json()
        records = [Record.from_json(row) for row in asked["reservations"]]
        self._ledger.seed(records, asked.get("pools"))
        return {"seeded": len(records)}

    def _faults(self) -> Any:
        asked = request.get_json()
        ids = asked.get("reservation_ids") or []
        after = bool(asked.get("after"))
        for server in self._chosen(asked):
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
        return self._health()

    def _latency(self) -> Any:
        asked = request.get_json()
        for server in self._chosen(asked):
            server.faults.set_latency(asked["latency_ms"] / 1000, asked.get("jitter_ms", 0) / 1000)
        return self._health()

    def _token(self) -> Any:
        self._reservation.token = str(request.get_json()["token"])
        return self._health()

    def _overturn(self) -> Any:
        ids = request.get_json()["reservation_ids"]
        for reservation_id in ids:
            self._ledger.reservations.overturn(reservation_id)
        return {"overturned": len(ids)}

    def _dump(self) -> Any:
        return self._ledger.dump(request.args.get("since", 0, type=int))

    def _calls(self) -> Any:
        return {name: server.calls.rows() for name, server in self._servers.items()}

    def _health(self) -> Any:
        return {
            name: {"running": server.running, "calls": server.calls.total, **server.faults.state()}
            for name, server in self._servers.items()
        }

    def _chosen(self, asked: dict[str, Any]) -> list[Server]:
        target = asked.get("target", "both")
        return list(self._servers.values()) if target == "both" else [self._servers[target]]
