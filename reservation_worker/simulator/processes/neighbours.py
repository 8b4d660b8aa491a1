"""Both neighbours in one child process, and their control app as methods."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.processes.ports import LOOPBACK
from reservation_worker.simulator.processes.server import ServerProcess


class NeighboursProcess(ServerProcess):
    """Seed it, switch its faults, read its ledger. Methods raise ChildError."""

    name = "neighbours"

    def __init__(
        self,
        latency_ms: float = 0,
        jitter_ms: float = 0,
        directory: Path | None = None,
        character: Character = Character.CONTRACT,
        key_ttl: float | None = None,
    ) -> None:
        options = [f"--latency-ms={latency_ms}", f"--jitter-ms={jitter_ms}"]
        options.append(f"--character={character}")
        if key_ttl is not None:
            options.append(f"--key-ttl={key_ttl}")
        super().__init__("reservation_worker.simulator.neighbours", options, directory)

    @property
    def inventory_address(self) -> str:
        """For INVENTORY_GRPC_ADDR."""
        return f"{LOOPBACK}:{self._ready['inventory']}"

    @property
    def reservation_base(self) -> str:
        """For RESERVATION_API_BASE."""
        return f"http://{LOOPBACK}:{self._ready['reservation']}"

    @property
    def control_base(self) -> str:
        """The control app's URL."""
        return f"http://{LOOPBACK}:{self._ready['control']}"

    def seed(self, records: Iterable[Record], pools: Mapping[str, int] | None = None) -> None:
        """Make the reservations, before the first event."""
        rows = [record.as_dict() for record in records]
        self._call("POST", "/reservations", {"reservations": rows, "pools": pools or {}})

    def down(self, target: str) -> None:
        """Close the port of `inventory`, `reservation` or `both`, and every connection."""
        self._fault("down", target)

    def trouble(self, target: str) -> None:
        """Let its database stop answering; the character decides how calls then fail."""
        self._fault("trouble", target)

    def hang(self, target: str, ids: Sequence[str] = (), *, after: bool = False) -> None:
        """Block calls (all, or those for `ids`), before or after they take effect."""
        self._fault("hang", target, reservation_ids=list(ids), after=after)

    def answer(
        self,
        target: str,
        answer: Mapping[str, Any],
        count: int = 1,
        ids: Sequence[str] = (),
        *,
        after: bool = False,
        rate: float = 1.0,
    ) -> None:
        """Give `count` calls another answer: the next ones or, by chance, a `rate` of them.

        It comes instead of the effect or `after` it. `health` counts it by its "name".
        inventory: {"code": "UNAVAILABLE"} or, in band, {"status": 4, "error_code": 16}, numbers;
        "message_bytes" makes it large.
        reservation: {"status": 503, "headers": {}, "body": an object, or a text for HTML};
        "body_bytes" makes it large, "truncated" breaks it off, "reset" is no answer at all.
        Both: {"sleep": seconds} for the true answer, but late; with "method" only for its calls.
        """
        given = {"answer": dict(answer), "count": count, "rate": rate}
        self._fault("answer", target, reservation_ids=list(ids), after=after, **given)

    def restart(self, target: str = "both") -> None:
        """Close the port and every connection (gRPC: GOAWAY), and open it again at once."""
        self._fault("restart", target)

    def clear(self, target: str = "both") -> None:
        """End all faults: ports open again, hanging calls go on."""
        self._fault("clear", target)

    def latency(self, latency_ms: float, jitter_ms: float = 0, target: str = "both") -> None:
        """Change the time that each call takes."""
        asked = {"target": target, "latency_ms": latency_ms, "jitter_ms": jitter_ms}
        self._call("POST", "/latency", asked)

    def ledger(self, since: int = 0) -> dict[str, Any]:
        """Reservations, seats, pools, and the journal's entries after number `since`."""
        return self._call("GET", f"/ledger?since={since}")

    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """The last calls that `inventory` and `reservation` received, oldest first."""
        return self._call("GET", "/calls")

    def health(self) -> dict[str, dict[str, Any]]:
        """For each neighbour: running, calls, hanging, latency_ms and injected."""
        return self._call("GET", "/healthz")

    def _fault(self, fault: str, target: str, **more: Any) -> None:
        self._call("POST", "/faults", {"target": target, "fault": fault, **more})
