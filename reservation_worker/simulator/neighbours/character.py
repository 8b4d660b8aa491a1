"""The neighbours that the simulators play: the contract's, or the services of today."""

from enum import StrEnum


class Character(StrEnum):
    """CONTRACT keeps idempotency keys for ever, fails in band and with UNAVAILABLE.

    TODAY is the code that runs now (docs/contract.md#inventory-today). inventory-svc answers
    internal failures and conflicts with INTERNAL, releases all seats of a request or none, makes
    its own key (reservation and method) and forgets it. reservation-api writes camelCase,
    ignores keys, and refuses with 400 alone.
    """

    CONTRACT = "contract"
    TODAY = "today"

    @property
    def key_ttl(self) -> float:
        """How long inventory-svc remembers a key, in seconds."""
        return 300.0 if self is Character.TODAY else float("inf")
