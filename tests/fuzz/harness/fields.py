"""Mutations of a sound body's fields, in tables by the expected answer."""

from tests.fuzz.harness.drafts import VARIANTS, Draft, Table, absent, done
from tests.fuzz.harness.words import (
    BROKEN,
    DATES,
    INT32,
    NAMES,
    NO_STATUS,
    NOT_IDS,
    NOT_QTY,
    NOT_SEATS,
    NOT_STATUSES,
    NOT_TEXT,
    NOT_TYPES,
    ODD,
    STATUSES,
    STRINGS,
    TRACE,
    TYPES,
    UNUSED,
    WORDS,
    any_text,
    anything,
    is_text,
    nest,
)

NEUTRAL: Table = []
"""The event means the same."""
CHANGING: Table = []
"""The event changes; the mutation updates the draft's facts."""
IGNORED: Table = []
"""There is nothing to do."""
INVALID: Table = []
"""It can never be understood."""

_TYPED = tuple(name for name in VARIANTS if name != "payment_status")
_WITH_DETAIL = tuple(name for name in VARIANTS if name != "flat")
_NESTABLE = tuple(name for name in VARIANTS if name not in ("sns", "flat"))


@done(NEUTRAL)
def unused_field_of_any_value(it: Draft) -> None:
    it.layer()[it.dice.choice(UNUSED)] = anything(it.dice)


@done(NEUTRAL)
def odd_date_or_version(it: Draft) -> None:
    it.layer()[it.dice.choice(UNUSED[3:7])] = it.dice.choice(DATES)


@done(NEUTRAL)
def trace_of_any_value(it: Draft) -> None:
    value = it.dice.choice((anything(it.dice), it.dice.choice(BROKEN), it.dice.choice(ODD)))
    it.layer()[it.dice.choice(TRACE)] = value


@done(NEUTRAL)
def message_id_of_any_value(it: Draft) -> None:
    it.event["id"] = anything(it.dice)


@done(NEUTRAL)
def unused_field_twice(it: Draft) -> None:
    key = it.dice.choice(UNUSED)
    it.layer().update({key: anything(it.dice), f"@again:{key}": anything(it.dice)})


@done(NEUTRAL)
def second_name_empty(it: Draft) -> None:
    field = it.dice.choice(tuple(NAMES))
    others = [name for name in it.names(field) if name != it.key(field)]
    absent(it.dice, it.detail, it.dice.choice(others))


@done(NEUTRAL, *_TYPED)
def field_of_payment_status_alone(it: Draft) -> None:
    it.detail[it.dice.choice(("payment_id", "status", "event_type"))] = anything(it.dice)


# EventBridge's envelope has no type: only then the detail-type is it.
@done(NEUTRAL, "canonical", "camel_case", "legacy_type", "flat", "sns", "nested")
def detail_type_beside_the_type(it: Draft) -> None:
    it.event["detail-type"] = anything(it.dice)


@done(NEUTRAL)
def unused_field_200_deep(it: Draft) -> None:
    it.layer()["note"] = nest(it.dice.randint(1, 200))


@done(NEUTRAL, *_NESTABLE)
def one_more_envelope(it: Draft) -> None:
    it.root = {"version": "0", "detail-type": it.dice.choice(WORDS), "detail": it.root}


@done(CHANGING)
def user_or_order_of_any_value(it: Draft) -> None:
    field, value = it.dice.choice(("user_id", "order_id")), anything(it.dice)
    it.say(field, value)
    it.facts[field] = value if is_text(value) else None


@done(CHANGING)
def odd_string(it: Draft) -> None:
    odd = it.dice.choice((it.dice.choice(ODD), any_text(it.dice)))
    it.say(it.dice.choice(STRINGS), f"{odd if is_text(odd) else ''}_{it.number}")


@done(CHANGING)
def odd_seats(it: Draft) -> None:
    seats = [f"{it.dice.choice(ODD)}{number}" for number in range(1, it.dice.randrange(2, 6))]
    it.say("seat_ids", seats)
    it.say("qty", len(seats))


@done(CHANGING)
def seats_and_qty_disagree(it: Draft) -> None:
    it.say("qty", it.dice.choice((1, 3, INT32)))
    it.say("seat_ids", ["A1", "B2"])
    it.facts |= {"qty": 2, "warned": True}


@done(CHANGING)
def general_admission(it: Draft) -> None:
    it.say("seat_ids", [])
    it.say("qty", it.dice.choice((1, 7, INT32)))


@done(CHANGING)
def longest_reservation_id(it: Draft) -> None:
    start = f"fuzz_{it.number}"
    it.say("reservation_id", start + it.dice.choice("._:-Z9") * (128 - len(start)))


@done(CHANGING)
def optional_field_absent(it: Draft) -> None:
    field = it.dice.choice((*STRINGS, "qty", "seat_ids"))
    it.lack(field)
    if field == "qty" and it.facts["seat_ids"]:
        it.facts["qty"] = len(it.facts["seat_ids"])


@done(CHANGING, *_TYPED)
def another_name_of_its_type(it: Draft) -> None:
    del it.event[it.type_key()]
    it.event[it.dice.choice(("type", "detail-type"))] = it.dice.choice(TYPES[it.facts["kind"]])


@done(CHANGING, "payment_status")
def another_payment_status(it: Draft) -> None:
    kind = it.facts["kind"] = it.dice.choice(tuple(STATUSES))
    it.detail["status"] = it.dice.choice(STATUSES[kind])


@done(IGNORED, "payment_status")
def payment_status_with_nothing_to_do(it: Draft) -> None:
    it.detail["status"] = it.dice.choice(NO_STATUS)


@done(INVALID)
def no_reservation_id(it: Draft) -> None:
    it.lack("reservation_id")


@done(INVALID)
def unsafe_reservation_id(it: Draft) -> None:
    it.put("reservation_id", NOT_IDS)


@done(INVALID)
def ill_typed_reservation_id(it: Draft) -> None:
    it.put("reservation_id", NOT_TEXT)


@done(INVALID)
def no_type(it: Draft) -> None:
    for key in ("type", "detail-type"):
        absent(it.dice, it.event, key)


@done(INVALID)
def unknown_type(it: Draft) -> None:
    it.event[it.type_key()] = it.dice.choice(NOT_TYPES)


@done(INVALID)
def ill_typed_string(it: Draft) -> None:
    it.put(it.dice.choice(STRINGS), NOT_TEXT)


@done(INVALID)
def lone_surrogates(it: Draft) -> None:
    it.put(it.dice.choice(STRINGS), BROKEN)


@done(INVALID)
def wrong_qty(it: Draft) -> None:
    it.put("qty", NOT_QTY)


@done(INVALID)
def wrong_seats(it: Draft) -> None:
    it.put("seat_ids", NOT_SEATS)


@done(INVALID, "payment_status")
def no_payment_status(it: Draft) -> None:
    absent(it.dice, it.detail, "status")


@done(INVALID, "payment_status")
def unknown_payment_status(it: Draft) -> None:
    it.detail["status"] = it.dice.choice(NOT_STATUSES)


@done(INVALID, *_WITH_DETAIL)
def detail_is_no_object(it: Draft) -> None:
    it.event["detail"] = it.dice.choice((*NOT_TEXT, str(it.detail), None, ""))


# Which of the two was meant is anyone's guess.
@done(INVALID)
def used_field_twice(it: Draft) -> None:
    key = it.key(it.dice.choice(("reservation_id", *STRINGS, "qty", "seat_ids")))
    it.detail.update({key: it.detail.get(key, "one"), f"@again:{key}": "another"})


@done(INVALID, "sns")
def sns_message_is_no_string(it: Draft) -> None:
    it.root["Message"] = it.dice.choice((*NOT_TEXT, None, it.event))
    it.sealed = True


@done(INVALID, "sns")
def another_sns_type(it: Draft) -> None:
    it.root["Type"] = it.dice.choice(("SubscriptionConfirmation", "notification", *NOT_TEXT))
