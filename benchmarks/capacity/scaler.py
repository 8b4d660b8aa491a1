"""How many pods: KEDA between none and one, the HorizontalPodAutoscaler from one on.

Both are pure: from the time, the queue's depth and the present number of pods they return the
wanted number. The rules are those of KEDA's `pkg/scaling/executor` and Kubernetes'
`pkg/controller/podautoscaler`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

TOLERANCE = 0.1
"""The HPA does nothing while depth per pod is this close to its target (Kubernetes' default)."""
SYNC = 15.0
"""Seconds between two syncs of the HPA (Kubernetes' default)."""


@dataclass(frozen=True)
class Policy:
    """At most `value` pods (or percent of the pods) of change in `period` seconds."""

    kind: str
    value: int
    period: float


@dataclass(frozen=True)
class Direction:
    """One side of an HPA's behaviour. `window` is the stabilisation in seconds."""

    window: float
    policies: tuple[Policy, ...]
    select: str = "Max"

    @classmethod
    def from_manifest(cls, behavior: Mapping[str, Any]) -> Self:
        """Read `scaleUp` or `scaleDown`."""
        policies = (Policy(p["type"], p["value"], p["periodSeconds"]) for p in behavior["policies"])
        select = behavior.get("selectPolicy", "Max")
        return cls(behavior["stabilizationWindowSeconds"], tuple(policies), select)


@dataclass(frozen=True)
class Scaling:
    """A ScaledObject of one aws-sqs-queue trigger. Times in seconds."""

    polling: float
    cooldown: float
    least: int
    most: int
    queue_length: int
    in_flight_counts: bool
    up: Direction
    down: Direction

    @classmethod
    def from_manifest(cls, scaled: Mapping[str, Any]) -> Self:
        """Read a ScaledObject; the KeyError of a missing field names it."""
        spec = scaled["spec"]
        metadata = spec["triggers"][0]["metadata"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        return cls(
            polling=spec["pollingInterval"],
            cooldown=spec["cooldownPeriod"],
            least=spec["minReplicaCount"],
            most=spec["maxReplicaCount"],
            queue_length=int(metadata["queueLength"]),
            in_flight_counts=metadata["scaleOnInFlight"] == "true",
            up=Direction.from_manifest(behavior["scaleUp"]),
            down=Direction.from_manifest(behavior["scaleDown"]),
        )

    def depth(self, waiting: int, in_flight: int) -> int:
        """The depth as the trigger measures it."""
        return waiting + in_flight if self.in_flight_counts else waiting


class Keda:
    """From no pod to the first ones, and back from any number after a cooldown without messages."""

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._active_at = -math.inf

    def poll(self, now: float, depth: int, replicas: int) -> int:
        """The pods to have after a poll; the HPA decides on all but the first and the last."""
        if depth > 0:
            self._active_at = now
            return replicas or max(1, self._scaling.least)
        # KEDA keeps the time in whole seconds, so the poll one cooldown later is late enough.
        if not self._scaling.least and now - self._active_at >= self._scaling.cooldown:
            return 0
        return max(replicas, self._scaling.least)


class Hpa:
    """The HorizontalPodAutoscaler that KEDA makes: one external metric, an average per pod."""

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._wanted: list[tuple[float, int]] = []
        self._changes: list[tuple[float, int]] = []

    def sync(self, now: float, depth: int, replicas: int) -> int:
        """The pods to have from now on. Without pods it is switched off: 0 stays 0."""
        if replicas == 0:
            return 0
        wanted = self.recommend(depth, replicas)
        self._wanted.append((now, wanted))
        wanted = self._limited(now, self._stabilised(now, wanted, replicas), replicas)
        wanted = min(max(wanted, 1, self._scaling.least), self._scaling.most)
        if wanted != replicas:
            self._changes.append((now, wanted - replicas))
        return wanted

    def recommend(self, depth: int, replicas: int) -> int:
        """Pods by the metric alone: depth / queueLength, unless that is within the tolerance."""
        target = self._scaling.queue_length
        if 1 - TOLERANCE <= depth / (target * replicas) <= 1 + TOLERANCE:
            return replicas
        return math.ceil(depth / target)

    def _stabilised(self, now: float, wanted: int, replicas: int) -> int:
        """Up only to the least, down only to the most that was wanted in the window."""
        up = min([wanted, *_after(self._wanted, now - self._scaling.up.window)])
        down = max([wanted, *_after(self._wanted, now - self._scaling.down.window)])
        return min(max(replicas, up), down)

    def _limited(self, now: float, wanted: int, replicas: int) -> int:
        """Not faster than the policies of that direction allow."""
        direction = self._scaling.up if wanted > replicas else self._scaling.down
        if wanted == replicas or direction.select == "Disabled":
            return replicas
        sign = 1 if wanted > replicas else -1
        moves = []
        for policy in direction.policies:
            start = replicas - sum(_after(self._changes, now - policy.period))
            if policy.kind == "Pods":
                moves.append(start + sign * policy.value)
            else:
                share = start * (1 + sign * policy.value / 100)
                # A part of a pod counts as one up, and as none down.
                moves.append(math.ceil(share) if sign > 0 else int(share))
        furthest = (direction.select == "Max") == (sign > 0)
        limit = max(moves) if furthest else min(moves)
        return min(wanted, max(limit, replicas)) if sign > 0 else max(wanted, min(limit, replicas))


def _after(entries: Iterable[tuple[float, int]], cutoff: float) -> list[int]:
    return [value for at, value in entries if at > cutoff]
