"""What the parser promises for every body, checked for one of them."""

import dataclasses
import gc
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reservation_worker.errors import InvalidEvent
from reservation_worker.events import parse as events
from tests.fuzz.harness.mutations import ANY, EVENT, IGNORED, INVALID, Mutant, sns

Parse = Callable[[str | bytes, Mapping[str, str]], events.Event | events.Ignored]
Answer = events.Event | events.Ignored | InvalidEvent

LIMIT_MS = 1000
"""CPU time for a body of up to 1 MiB: several times that of the worst one."""
# What else is looked at in an answer costs more than the parser itself.
_SMALL = 20_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class BrokenPromise(AssertionError):
    """The parser broke a promise; the text quotes the body."""


def check(one: Mutant, parse: Parse = events.parse) -> tuple[str, float]:
    """The kind of the answer and the milliseconds of CPU time. Raises BrokenPromise."""
    try:
        answer, milliseconds = _timed(one, parse)
        found = _kind_of(answer)
        limit = LIMIT_MS * max(1.0, len(one.body) / 2**20)
        _promise(milliseconds < limit, f"it took {milliseconds:.0f} ms of CPU time")
        if isinstance(answer, InvalidEvent):
            _sentence(str(answer))
        else:
            _sound(answer)
        _promise(one.expected in (found, ANY), f"it is {one.expected}, not {found}: {answer}")
        if one.expected == IGNORED:
            _promise(answer.reservation_id == one.reservation_id, f"not the id of {answer}")
        if one.facts is not None:
            actual = facts(answer)
            wrong = {name: actual[name] for name in actual if actual[name] != one.facts[name]}
            _promise(not wrong, f"it says {dict(one.facts)}, not {wrong}")
        if len(one.body) <= _SMALL:
            _consistent(one, answer, parse)
    except BrokenPromise as error:
        shown = repr(one.body[:600])
        raise BrokenPromise(
            f"{one.name}: {error}; {len(one.body)} long, attributes {dict(one.attributes)}: {shown}"
        ) from None
    return found, milliseconds


def facts(event: events.Event) -> dict[str, Any]:
    """What the settlement uses, and whether there was a warning."""
    unused = ("id", "trace", "warnings")
    names = [each.name for each in dataclasses.fields(event) if each.name not in unused]
    found = {name: getattr(event, name) for name in names}
    return found | {"kind": event.kind.label, "warned": bool(event.warnings)}


def _timed(one: Mutant, parse: Parse) -> tuple[Answer, float]:
    answer: Any
    # Otherwise the measured time would include collections of Hypothesis's garbage.
    gc.disable()
    began = time.thread_time()
    try:
        answer = parse(one.body, dict(one.attributes))
    except InvalidEvent as error:
        answer = error
    except Exception as error:
        raise BrokenPromise(f"parse raised {error!r:.300}") from None
    finally:
        milliseconds = (time.thread_time() - began) * 1000
        gc.enable()
    return answer, milliseconds


def _kind_of(answer: object) -> str:
    kinds = {events.Event: EVENT, events.Ignored: IGNORED, InvalidEvent: INVALID}
    _promise(type(answer) in kinds, f"parse returned {answer!r:.300}")
    return kinds[type(answer)]


def _promise(kept: bool, otherwise: str) -> None:
    if not kept:
        raise BrokenPromise(otherwise)


def _sentence(text: str) -> None:
    fit = 10 < len(text) <= 240 and text.isprintable() and "<object" not in text
    _promise(fit, f"its refusal is not fit to be read: {text!r:.500}")


def _sound(answer: events.Event | events.Ignored) -> None:
    """The properties that the pipeline relies on, for every body."""
    rid = answer.reservation_id
    _promise(_ID.fullmatch(rid) is not None, f"the reservation_id {rid!r:.200} is unsafe")
    for text in _texts(dataclasses.astuple(answer)):
        try:
            fine = text != "" and text.encode() != b""
        except UnicodeEncodeError:
            fine = False
        _promise(fine, f"the answer holds {text!r:.200}")
    if isinstance(answer, events.Event):
        qty, seats = answer.qty, answer.seat_ids
        whole = qty is None or (type(qty) is int and 1 <= qty < 2**31)
        _promise(whole, f"the quantity is {qty!r:.100}")
        agree = not seats or qty == len(seats) == len(set(seats))
        _promise(agree, f"{qty} places and {len(seats or ())} seats")
        short = all(len(warning) < 160 and warning.isprintable() for warning in answer.warnings)
        _promise(short, f"its warnings are not fit to be read: {answer.warnings!r:.500}")


def _consistent(one: Mutant, answer: Answer, parse: Parse) -> None:
    """What holds between answers: as bytes, inside of SNS, and that no fact is invented."""
    if not isinstance(one.body, str):
        return
    if not isinstance(answer, InvalidEvent):
        in_bytes, _ = _timed(dataclasses.replace(one, body=one.body.encode()), parse)
        _promise(in_bytes == answer, f"as bytes it is {in_bytes!r:.300}, not {answer!r:.300}")
    inside, _ = _timed(dataclasses.replace(one, body=sns(one.body)), parse)
    if "envelopes" in str(inside) or "too deeply" in str(inside):
        return  # one more layer was one too many
    same = type(inside) is type(answer)
    if same and isinstance(answer, events.Event):
        same = facts(inside) == facts(answer)
        said = set(_texts(_open(one.body)))
        invented = {answer.reservation_id, *(answer.seat_ids or ())} - said
        invented |= {answer.event_id, answer.payment_intent_id, answer.error_code} - {None} - said
        _promise(not invented, f"nobody said {invented}")
    _promise(same, f"in an SNS envelope it is {inside!r:.300}, not {answer!r:.300}")


def _open(text: str) -> Any:
    """JSON, and the JSON in its strings."""
    try:
        value = json.loads(text, parse_int=float)
    except ValueError:
        return text
    return [text, value] if isinstance(value, str) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        if value.lstrip()[:1] == "{" and not isinstance(opened := _open(value), str):
            yield from _texts(opened)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
