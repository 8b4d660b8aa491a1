"""Values for the fuzzers: the contract's words, and invalid values."""

import copy
from random import Random
from typing import Any

from reservation_worker.events.kinds import BY_PAYMENT_STATUS, Kind

# The contract's names, repeated on purpose: the check must not use the parser's.
NAMES = {
    "reservation_id": ("reservation_id", "reservationId"),
    "event_id": ("event_id", "eventId"),
    "qty": ("qty", "quantity"),
    "seat_ids": ("seat_ids", "seatIds"),
    "payment_intent_id": ("payment_intent_id", "paymentIntentId", "payment_id"),
    "error_code": ("error_code", "errorCode"),
    "user_id": ("user_id", "userId"),
    "order_id": ("order_id", "orderId"),
}
STRINGS = ("event_id", "payment_intent_id", "error_code")
UNUSED = [
    *("amount", "currency", "error_message", "time", "expires_at", "timestamp", "version"),
    *("region", "account", "source", "resources", "note", "Details", "__proto__", "\0", "\ud800"),
]
TRACE = ("trace_id", "traceId", "traceparent")
# The kinds are the table's, which test_kinds.py holds to the contract.
TYPES = {kind.label: kind.value.types for kind in Kind}
STATUSES = {kind.label: kind.value.payment_statuses for kind in Kind if kind.value.payment_statuses}
NO_STATUS = [status for status, kind in BY_PAYMENT_STATUS.items() if kind is None]
INT32 = 2**31 - 1

WORDS = [
    *("type", "detail-type", "detail", "Type", "Message", "Notification", "status", "traceparent"),
    *(name for names in (*NAMES.values(), *TYPES.values()) for name in names),
    *("Payment Status Updated", "payment.status_updated", "PAYMENT_STATUS_PENDING", "rsv_1"),
]
ODD = [
    *("\0", "\u202e", "\ufeff", "a\nb", "\x7f", "'\"\\", "{}", "null", "${jndi:ldap://x}", "%s{0}"),
    *("\N{GRINNING FACE}", "e\u0301", "\u2028", "\ufffe\uffff", "../..", "\r\nX: 1", " "),
    "A" * 3000,
]
BROKEN = ["\ud800", "x\udfff", "\udc00\ud800"]
DATES = ["0000-00-00", "2025-13-45T99:99:99Z", "soon", 10**18, -1, "2025-01-23", "9.9", 2.0]

# "@raw:" is a number as it stands in the body, which json would not write (fuzz_drafts.dumps).
RAW = [f"@raw:{text}@" for text in ("1e999", "-0.0", "1E+2", "-0", "0.1e-999", "9" * 5000)]
NOT_TEXT = [0, 7, -1, 1.5, True, False, [], {}, ["x"], {"id": "x"}, 10**30, RAW[0]]
NOT_QTY = [0, -1, 2**31, 2**63, 10**30, 1.5, -0.5, "2", "two", True, False, [], [1], {}, *RAW[::5]]
NOT_SEATS = [
    *("A1,A2", 5, 0, True, False, {}, {"0": "A1"}, 1.5),
    *(["A1", 2], [None], [["A1"]], [{}], [True], ["A1", "\udfff"]),
]
NOT_IDS = [
    *("../../admin", "a b", "a/b", "rsv%2f..", "rsv_1\n", "\nrsv", "-rsv", ".rsv", "_rsv", ":rsv"),
    *("r" * 129, "rsv_é", "rsv\0", "rsv?x=1", "rsv#", "\uff11\uff12", "rsv\u200b", " rsv", "rsv "),
    *BROKEN,
]
NOT_TYPES = [
    *("reservation.created", "Reservation.Expired", "reservation.expired ", "payment.approved\n"),
    *("PaymentRefunded", "PAYMENT.APPROVED", "payment", "*", "payment status updated"),
    *(*ODD, *BROKEN, *NOT_TEXT),
]
NOT_STATUSES = [
    *("PAYMENT_STATUS_MAYBE", "COMPLETED", "payment_status_failed", "PAYMENT_STATUS_FAILED "),
    *(*ODD, *BROKEN, *NOT_TEXT),
]


_VALUES = [
    *(None, True, False, "", [], {}, 0.0, -1e308, 5e-324, 2.0, 1e3, ["x"], [""], {"id": "x"}),
    *(*NOT_QTY, *RAW, *DATES, *ODD, *BROKEN, *WORDS, *(word * 100 for word in ODD[:-1])),
]


def anything(dice: Random, depth: int = 0) -> Any:
    """Any JSON value; it is the caller's to change."""
    kind = dice.randrange(12)
    if kind == 0:
        return dice.choice((dice.randint(-(10**12), 10**12), dice.uniform(-1e6, 1e6)))
    if kind == 5:
        return any_text(dice)
    if kind < 3 and depth < 3:
        return [anything(dice, depth + 1) for _ in range(dice.randrange(4))]
    if kind < 5 and depth < 3:
        keys = [dice.choice(WORDS + ODD) for _ in range(dice.randrange(4))]
        return {key: anything(dice, depth + 1) for key in keys}
    return copy.copy(dice.choice(_VALUES))


def any_text(dice: Random) -> str:
    """Any code points, lone surrogates included."""
    most = dice.choice((0x80, 0x3000, 0xFFFF, 0x10FFFF))
    return "".join(chr(dice.randint(0, most)) for _ in range(dice.randrange(9)))


def is_text(value: Any) -> bool:
    """Whether it is a string, not empty, that UTF-8 can hold."""
    fine = isinstance(value, str) and value != "" and not value.startswith("@raw:")
    return fine and not any("\ud800" <= letter <= "\udfff" for letter in value)


def nest(depth: int) -> str:
    """Lists in lists; json would not write them if they are too many."""
    return f"@raw:{'[' * depth}{']' * depth}@"
