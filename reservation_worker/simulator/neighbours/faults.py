"""Faults of one neighbour, switched at run time: it hangs, is slow, or answers something else."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

# How often a hanging call checks that its caller is still connected, in seconds.
_GLANCE = 0.05


class CallerGoneError(Exception):
    """The caller of the hanging call disconnected, or the server stopped."""


@dataclass(slots=True)
class _Canned:
    """An answer to give instead of the true one, or after the effect took place."""

    spec: Mapping[str, Any]
    left: int
    ids: frozenset[str]
    after: bool
    rate: float


class Faults:
    """The faults that a server applies before (`after=False`) and after a call takes effect."""

    def __init__(self, seed: int = 0) -> None:
        self._changed = threading.Condition()
        self._random = random.Random(seed)
        self._latency = (0.0, 0.0)
        self._hang: frozenset[str] | None = None  # empty: every reservation
        self._hang_after = False
        self._generation = 0
        self._hanging = 0
        self._canned: list[_Canned] = []
        self._injected: Counter[str] = Counter()

    def set_latency(self, seconds: float, jitter: float = 0.0) -> None:
        """Let each call take `seconds`, plus or minus up to `jitter`."""
        self._latency = (seconds, jitter)

    def delay(self) -> None:
        """Sleep for the latency."""
        seconds, jitter = self._latency
        if jitter:
            seconds += self._random.uniform(-jitter, jitter)
        if seconds > 0:
            time.sleep(seconds)

    def hang(self, ids: Collection[str] = (), *, after: bool = False) -> None:
        """Block calls until cleared: all, or those for `ids`."""
        with self._changed:
            self._hang = frozenset(ids)
            self._hang_after = after
            self._changed.notify_all()

    def answer(
        self,
        spec: Mapping[str, Any],
        count: int = 1,
        ids: Collection[str] = (),
        *,
        after: bool = False,
        rate: float = 1.0,
    ) -> None:
        """Give `count` calls this answer: the next ones or, by chance, a `rate` of them.

        The server knows what `spec` means; {"sleep": seconds} is the true answer, but late. With
        a "method" only its calls are answered so.
        """
        with self._changed:
            self._canned.append(_Canned(dict(spec), count, frozenset(ids), after, rate))

    def clear(self) -> None:
        """End all faults; hanging calls go on. The latency stays."""
        with self._changed:
            self._hang = None
            self._canned.clear()
            self._changed.notify_all()

    def abandon(self) -> None:
        """End hanging calls without an answer, because the server stops."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def pause(self, reservation_id: str, gone: Callable[[], bool], *, after: bool = False) -> None:
        """Hang if switched on. Raises CallerGoneError once the caller has gone."""
        with self._changed:
            if not self._hangs(reservation_id, after):
                return
            generation = self._generation
            self._hanging += 1
            self._injected["hang"] += 1
            self._changed.notify_all()
            try:
                while self._hangs(reservation_id, after):
                    if self._generation != generation or gone():
                        raise CallerGoneError(reservation_id)
                    self._changed.wait(_GLANCE)
                if gone():
                    raise CallerGoneError(reservation_id)
            finally:
                self._hanging -= 1
                self._changed.notify_all()

    def canned(
        self, reservation_id: str, method: str = "", *, after: bool = False
    ) -> Mapping[str, Any] | None:
        """The answer to give instead of the true one, if one is due."""
        spec = self._due(reservation_id, method, after)
        if spec is not None and "sleep" in spec:
            time.sleep(spec["sleep"])
            return None
        return spec

    def _due(self, reservation_id: str, method: str, after: bool) -> Mapping[str, Any] | None:
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

    def wait_hanging(self, count: int, timeout: float) -> bool:
        """Wait until at least `count` calls hang; false if they never did."""
        with self._changed:
            return self._changed.wait_for(lambda: self._hanging >= count, timeout)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no call hangs any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._hanging, timeout)

    def state(self) -> dict[str, Any]:
        """The settings, and how many calls hang now."""
        with self._changed:
            return {
                "hang": None if self._hang is None else sorted(self._hang),
                "hanging": self._hanging,
                "answers_left": sum(item.left for item in self._canned),
                "latency_ms": self._latency[0] * 1000,
                "injected": dict(self._injected),
            }

    def _hangs(self, reservation_id: str, after: bool) -> bool:
        if self._hang is None or self._hang_after != after:
            return False
        return not self._hang or reservation_id in self._hang
