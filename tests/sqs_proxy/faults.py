"""Decides by a seed which requests of SQS are hit by which fault; counts and logs each hit.

Each pair of fault and action has its own generator, so the n-th request of an action gets the same
faults whatever other requests come between: seed and config repeat a run.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RECEIVE, SEND = "ReceiveMessage", "SendMessage"
DELETE, VISIBILITY = "DeleteMessageBatch", "ChangeMessageVisibilityBatch"
_EVERY = (RECEIVE, SEND, DELETE, VISIBILITY)

FAULTS: Mapping[str, tuple[str, ...]] = {
    # The whole request, before SQS has seen it.
    "hang": _EVERY,  # no answer for `seconds`, then the connection is cut
    "reset": _EVERY,
    "error_500": _EVERY,
    "throttled": _EVERY,
    "expired_credentials": _EVERY,
    "access_denied": _EVERY,  # a lasting refusal, as by a policy
    # The whole request, after SQS has done it.
    "reset_after": _EVERY,
    # A receive.
    "duplicate_delivery": (RECEIVE,),  # a message again, in a later receive, while in flight
    "duplicate_after_delete": (DELETE,),  # a message again after its delete worked
    "reorder": (RECEIVE,),  # a message is held back and mixed with later ones
    "ghost_receive": (RECEIVE,),  # handed out, and the answer is lost
    "slow_poll": (RECEIVE,),  # the answer comes `seconds` late
    # One entry of a batch.
    "delete_failed_sender": (DELETE,),
    "delete_failed_server": (DELETE,),
    "delete_lost": (DELETE,),  # answered Successful, not done
    "visibility_failed_sender": (VISIBILITY,),
    "visibility_failed_server": (VISIBILITY,),
    "stale_receipt": (DELETE, VISIBILITY),  # answered ReceiptHandleIsInvalid, not done
    "stale_works": (DELETE, VISIBILITY),  # a receipt that was replaced still works, as on AWS
}
"""The faults, and the actions that each one hits unless its config names others."""

_SECONDS = {"hang": 30.0, "slow_poll": 2.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """`rate` is the share of the requests of `actions` that is hit; `seconds` is its duration."""

    rate: float
    actions: tuple[str, ...]
    seconds: float

    @classmethod
    def from_json(cls, name: str, given: Any) -> "Fault":
        """A rate, or an object with rate, actions and seconds. Raises ValueError."""
        if name not in FAULTS:
            raise ValueError(f"there is no fault {name!r}")
        row = given if isinstance(given, dict) else {"rate": given}
        if unknown := row.keys() - {"rate", "actions", "seconds"}:
            raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
        rate = float(row.get("rate", 1))
        if not 0 <= rate <= 1:
            raise ValueError(f"{name}: {rate} is no probability")
        seconds = float(row.get("seconds", _SECONDS.get(name, 0)))
        return cls(rate, tuple(row.get("actions", FAULTS[name])), seconds)


class FaultPlan:
    """The faults in force; thread-safe. `log` gets a JSON line for each hit."""

    def __init__(self, seed: int, config: Mapping[str, Any], log: Callable[[str], None]) -> None:
        self._seed = seed
        self._log = log
        self._lock = threading.Lock()
        self._generators: dict[tuple[str, str], random.Random] = {}
        self._counts: Counter[str] = Counter()
        self._faults: dict[str, Fault] = {}
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Replace the faults; the counts go on. Raises ValueError."""
        faults = {name: Fault.from_json(name, given) for name, given in config.items()}
        with self._lock:
            self._faults = faults
        self._log(json.dumps({"seed": self._seed, "faults": dict(config)}))

    def hit(self, name: str, action: str, what: str = "") -> bool:
        """Decide for one request or, with `what`, for one message of it."""
        with self._lock:
            fault = self._faults.get(name)
            if fault is None or action not in fault.actions:
                return False
            if self._generator(name, action).random() >= fault.rate:
                return False
            self._counts[name] += 1
            number = self._counts.total()
        line = {"fault": name, "number": number, "action": action, "what": what}
        self._log(json.dumps(line))
        return True

    def on(self, name: str) -> bool:
        """Whether the fault is in force."""
        return name in self._faults

    def seconds(self, name: str) -> float:
        """How long the fault takes."""
        fault = self._faults.get(name)
        return fault.seconds if fault else 0.0

    def shuffle(self, items: list[Any]) -> None:
        """Shuffle, by the seed."""
        with self._lock:
            self._generator("shuffle", "").shuffle(items)

    def coin(self, name: str) -> bool:
        """True or false, by the seed: chooses between two forms of a fault."""
        with self._lock:
            return self._generator(name, "coin").random() < 0.5

    def counts(self) -> dict[str, int]:
        """How often each fault was injected, over all configs."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def _generator(self, name: str, action: str) -> random.Random:
        key = (name, action)
        if key not in self._generators:
            self._generators[key] = random.Random(f"{self._seed} {name} {action}")
        return self._generators[key]
