"""Which neighbours the simulators play: those of the contract, or those that run today."""

from enum import StrEnum


class Character(StrEnum):
    """CONTRACT keeps idempotency keys for ever, fails in band and with UNAVAILABLE.

    TODAY is the code that runs now (docs/contract.md#inventory). inventory-svc answers any trouble
    of its own and any conflict with INTERNAL, releases all seats of a request or none, goes by a
    key of its own (reservation and method) and forgets it. reservation-api writes camelCase,
    ignores keys, and refuses with 400 alone.
    """

    CONTRACT = "contract"
    TODAY = "today"

    @property
    def key_ttl(self) -> float:
        """For how many seconds inventory-svc remembers a key."""
        return 300.0 if self is Character.TODAY else float("inf")
