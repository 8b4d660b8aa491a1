"""The classes of a neighbour's answers, and the error that each class raises."""

from enum import Enum, auto
from typing import NoReturn

from reservation_worker.errors import PermanentError, TransientError


class Meaning(Enum):
    """The classes of docs/contract.md#reservation-api and docs/contract.md#inventory."""

    DONE = auto()
    CONFLICT = auto()
    """The reservation is not in HOLD any more: the settlement rules decide."""
    TRANSIENT = auto()
    """An outage, a misconfigured deploy, or a brief fault: they can't be distinguished."""
    PERMANENT = auto()


def raise_for(meaning: Meaning, text: str, retry_after: float = 0.0) -> NoReturn:
    """Raise the error of an answer that is a failure; `text` describes the answer."""
    if meaning is Meaning.PERMANENT:
        raise PermanentError(text)
    raise TransientError(text, retry_after)
