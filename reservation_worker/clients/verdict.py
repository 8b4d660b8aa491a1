"""What a neighbour's answer means for the message, and the error each verdict becomes."""

from enum import Enum, auto
from typing import NoReturn

from reservation_worker.errors import NeighbourDown, PermanentError, TransientError


class Verdict(Enum):
    """The classes of the contract's tables of answers (sections 2 and 3)."""

    DONE = auto()
    CONFLICT = auto()
    """The reservation is not in HOLD any more: the settlement rules decide."""
    TRANSIENT = auto()
    DOWN = auto()
    """Transient and counted by the breaker: an outage, or a neighbour fault."""
    PERMANENT = auto()


def raise_for(verdict: Verdict, text: str, retry_after: float = 0.0) -> NoReturn:
    """Raise the error of a verdict that is a failure: `text` says what the neighbour answered."""
    if verdict is Verdict.PERMANENT:
        raise PermanentError(text)
    if verdict is Verdict.DOWN:
        raise NeighbourDown(text, retry_after)
    raise TransientError(text, retry_after)
