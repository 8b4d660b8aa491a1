"""Harm to a sound body's fields that is very large, or done at random."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from tests.fuzz.harness.drafts import Draft, Table, done, draft
from tests.fuzz.harness.words import NAMES, STRINGS, TRACE, WORDS, anything, nest

LARGE_UNUSED: Table = []
"""Large, and the event means the same."""
LARGE_USED: Table = []
"""Large values in used fields."""
LARGE_INVALID: Table = []
"""Large, and it can never be understood."""
WILD: Table = []
"""Nothing is known."""

_ITEMS = (0, 1.5, "a", [], {}, "@raw:9999999999999999999999@", {"a": 1, "@again:a": 2}, [[[]]])


def _size(it: Draft) -> int:
    return it.dice.choice((20_000, 60_000, 170_000))


@done(LARGE_UNUSED)
def large_unused_string(it: Draft) -> None:
    it.layer()["note"] = it.dice.choice(("x" * 6, "é", "\\" * 3, '"{' * 2)) * _size(it)


@done(LARGE_UNUSED)
def large_unused_list(it: Draft) -> None:
    it.layer()["note"] = [it.dice.choice(_ITEMS)] * (_size(it) // 3)


@done(LARGE_UNUSED)
def large_unused_object(it: Draft) -> None:
    it.layer()["note"] = {str(number): 0 for number in range(_size(it) // 3)}


@done(LARGE_UNUSED)
def large_trace(it: Draft) -> None:
    it.layer()[it.dice.choice(TRACE)] = "x" * 6 * _size(it)


@done(LARGE_USED)
def large_string(it: Draft) -> None:
    text = it.dice.choice(("x" * 6, "é", "\N{GRINNING FACE}")) * _size(it)
    it.say(it.dice.choice(STRINGS), f"{text}{it.number}")


@done(LARGE_USED)
def thousands_of_seats(it: Draft) -> None:
    seats = [f"S{number}" for number in range(_size(it) // 10)]
    it.say("seat_ids", seats)
    it.say("qty", len(seats))


@done(LARGE_INVALID)
def large_reservation_id(it: Draft) -> None:
    it.detail[it.key("reservation_id")] = it.dice.choice(("r", "\0")) * _size(it)


@done(LARGE_INVALID)
def large_type(it: Draft) -> None:
    it.event[it.type_key()] = it.dice.choice(("x", "\x7f", "é")) * _size(it)


@done(LARGE_INVALID)
def large_wrong_qty(it: Draft) -> None:
    it.detail[it.key("qty")] = it.dice.choice(("9" * 6 * _size(it), f"@raw:{'9' * 6 * _size(it)}@"))


@done(WILD)
def edited_at_random(it: Draft) -> None:
    for _ in range(it.dice.randint(1, 4)):
        places = list(_places(it.event))
        if not places:
            return
        holder, key = it.dice.choice(places)
        action = it.dice.randrange(6)
        if action == 0:
            del holder[key]
        elif action == 1:
            holder[key] = anything(it.dice)
        elif action == 2:
            wrapped = ([holder[key]], {"detail": holder[key]}, json.dumps(holder[key]))
            holder[key] = it.dice.choice(wrapped)
        elif action == 3 and isinstance(holder, dict):
            holder[it.dice.choice(WORDS)] = holder.pop(key)
        elif action == 4 and isinstance(holder, dict):
            holder[f"@again:{key}"] = anything(it.dice)
        else:
            other, its_key = it.dice.choice(places)
            holder[key] = copy.deepcopy(other[its_key])


@done(WILD)
def any_value_of_a_used_field(it: Draft) -> None:
    names = [name for names in NAMES.values() for name in names]
    it.detail[it.dice.choice((*names, "status"))] = anything(it.dice)


@done(WILD)
def odd_list_of_seats(it: Draft) -> None:
    seats = [it.dice.choice(("A1", "A2", "", "A1 ", "\0")) for _ in range(it.dice.randint(1, 4))]
    it.detail[it.key("seat_ids")] = seats


@done(WILD)
def merged_with_another(it: Draft) -> None:
    other = draft(it.dice, it.number)
    it.layer().update(it.dice.choice((other.root, other.event, other.detail)))


@done(WILD)
def many_envelopes(it: Draft) -> None:
    for _ in range(it.dice.randrange(8)):
        if it.dice.randrange(2):
            it.root = {"Type": "Notification", "Message": it.text()}
            it.sealed = True
        else:
            it.root = {"detail-type": it.dice.choice(WORDS), "detail": it.root}


@done(WILD)
def nested_to_the_limit(it: Draft) -> None:
    key = it.dice.choice(("note", "detail", it.key("event_id"), it.key("seat_ids")))
    it.layer()[key] = nest(it.dice.choice((300, 900, 980, 1000, 3000)) + it.dice.randrange(40))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder of a value, with the value's key."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
