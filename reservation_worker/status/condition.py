"""The worker's condition, and the findings that explain it."""

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """From the best to the worst."""

    OK = "ok"
    ATTENTION = "attention"
    STARTING = "starting"
    DRAINING = "draining"
    CRITICAL = "critical"
    NOT_READY = "not_ready"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: its title, its cause or extent, and the advice to the operator."""

    condition: Condition
    title: str
    detail: str
    advice: str
