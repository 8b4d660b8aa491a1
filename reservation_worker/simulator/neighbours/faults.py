"""Faults of one neighbour, switched at run time: it hangs, is slow, or answers something else."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

# How often a hanging call checks that its caller is still connected, in seconds.
_GLANCE = 0.05

Answer = TypeVar("Answer")
Spec = Mapping[str, Any]
"""What to answer instead of the truth; see `Faults.answer`."""


class CallerGoneError(Exception):
    """The caller of the hanging call disconnected, or the server stopped."""


@dataclass(slots=True)
class _Canned:
    """An answer to give instead of the true one, or after the effect took place."""

    spec: Spec
    left: int
    ids: frozenset[str]
    after: bool
    rate: float


class Faults:
    """The faults that a server applies before (`after=False`) and after a call takes effect.

    `trouble` is the server's answer when its database fails.
    """

    def __init__(self, trouble: Spec) -> None:
        self._trouble = trouble
        self._changed = threading.Condition()
        self._random = random.Random(0)
        self._latency = (0.0, 0.0)
        self._hang: frozenset[str] | None = None  # empty: every reservation
        self._hang_after = False
        self._hanging = 0
        self._canned: list[_Canned] = []
        self._injected: Counter[str] = Counter()

    def set_latency(self, seconds: float, jitter: float = 0.0) -> None:
        """Let each call take `seconds`, plus or minus up to `jitter`."""
        self._latency = (seconds, jitter)

    def hang(self, ids: Collection[str] = (), *, after: bool = False) -> None:
        """Block calls until cleared: all, or those for `ids`."""
        with self._changed:
            self._hang = frozenset(ids)
            self._hang_after = after
            self._changed.notify_all()

    def answer(
        self,
        spec: Spec,
        count: int = 1,
        ids: Collection[str] = (),
        *,
        after: bool = False,
        rate: float = 1.0,
    ) -> None:
        """Give `count` calls this answer: the next ones or, by chance, a `rate` of them.

        The server knows what `spec` means. With "method" only its calls are answered so, "sleep"
        makes them wait so many seconds, and "trouble" stands for the failure of the database.
        {"sleep": seconds} without an answer is the true one, but late.
        """
        if spec.get("trouble"):
            spec = {**self._trouble, **spec}
        with self._changed:
            self._canned.append(_Canned(spec, count, frozenset(ids), after, rate))

    def clear(self) -> None:
        """End all faults; hanging calls go on. The latency stays."""
        with self._changed:
            self._hang = None
            self._canned.clear()
            self._changed.notify_all()

    def serve(
        self,
        method: str,
        reservation_id: str,
        gone: Callable[[], bool],
        effect: Callable[[], Answer],
        instead: Callable[[Spec], Answer],
    ) -> Answer:
        """Answer a call with its `effect` or, by a fault, with what `instead` makes of a spec.

        Raises CallerGoneError once a hanging call's caller is `gone`.
        """
        self._delay()
        self._pause(reservation_id, gone, after=False)
        spec = self._due(method, reservation_id, after=False)
        if spec is not None:
            return instead(spec)
        answer = effect()
        self._pause(reservation_id, gone, after=True)
        spec = self._due(method, reservation_id, after=True)
        return answer if spec is None else instead(spec)

    def wait_hanging(self, count: int, timeout: float) -> bool:
        """Wait until at least `count` calls hang; false if they never did."""
        with self._changed:
            return self._changed.wait_for(lambda: self._hanging >= count, timeout)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no call hangs any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._hanging, timeout)

    def state(self) -> dict[str, Any]:
        """How many calls hang now, the latency, and how often each fault was injected."""
        with self._changed:
            return {
                "hanging": self._hanging,
                "latency_ms": self._latency[0] * 1000,
                "injected": dict(self._injected),
            }

    def _delay(self) -> None:
        seconds, jitter = self._latency
        if jitter:
            seconds += self._random.uniform(-jitter, jitter)
        if seconds > 0:
            time.sleep(seconds)

    def _pause(self, reservation_id: str, gone: Callable[[], bool], *, after: bool) -> None:
        with self._changed:
            if not self._hangs(reservation_id, after):
                return
            self._hanging += 1
            self._injected["hang"] += 1
            self._changed.notify_all()
            try:
                while self._hangs(reservation_id, after) and not gone():
                    self._changed.wait(_GLANCE)
                if gone():
                    raise CallerGoneError(reservation_id)
            finally:
                self._hanging -= 1
                self._changed.notify_all()

    def _hangs(self, reservation_id: str, after: bool) -> bool:
        if self._hang is None or self._hang_after != after:
            return False
        return not self._hang or reservation_id in self._hang

    def _due(self, method: str, reservation_id: str, *, after: bool) -> Spec | None:
        """The answer to give instead of the true one, if one is due."""
        spec = self._take(method, reservation_id, after)
        if spec is None or "sleep" not in spec:
            return spec
        time.sleep(spec["sleep"])
        return spec if spec.keys() - {"sleep", "name", "method"} else None

    def _take(self, method: str, reservation_id: str, after: bool) -> Spec | None:
        with self._changed:
            for item in self._canned:
                if item.after != after or (item.ids and reservation_id not in item.ids):
                    continue
                if item.spec.get("method", method) != method:
                    continue
                if item.rate < 1 and self._random.random() >= item.rate:
                    continue
                item.left -= 1
                if item.left < 1:
                    self._canned.remove(item)
                self._injected[item.spec.get("name") or str(dict(item.spec))] += 1
                return item.spec
        return None
