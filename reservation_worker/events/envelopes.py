"""Reads a message's body: JSON, layers of envelopes, single fields.

Raises InvalidEvent with one sentence that names the fault and its place.
"""

import json
from collections import Counter
from typing import Any, Never, TypeGuard

from reservation_worker.errors import InvalidEvent

_MAX_ENVELOPES = 4  # the deepest real one is two: nested in EventBridge in SNS
_SHOWN = 80
_TWICE = object()  # the value of a key that an object has more than once


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        # Nobody knows which value was meant: an error only in a field that is used.
        counts = Counter(key for key, _ in pairs)
        result |= {key: _TWICE for key, count in counts.items() if count > 1}
    return result


def _number(digits: str) -> int | float:
    # Python refuses integers of thousands of digits, and such a number in an unused field is no
    # reason to reject. As a float it is still no valid qty.
    return int(digits) if len(digits) <= 20 else float(digits)


def _constant(name: str) -> Never:
    raise InvalidEvent(f"the body holds {name}, which is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_number, parse_constant=_constant)


def read_object(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        text = text.decode() if isinstance(text, bytes) else text
        text.encode()  # raises for lone surrogates
        value = _DECODER.decode(text)
    except UnicodeError:
        raise InvalidEvent(f"{where} is not UTF-8") from None
    except json.JSONDecodeError as error:
        if not error.doc.strip():
            raise InvalidEvent(f"{where} is empty") from None
        fault = f"{error.msg} at line {error.lineno}, column {error.colno}"
        if error.doc.startswith("\ufeff"):  # invisible, so json's message would not help
            fault = "it starts with a byte order mark"
        raise InvalidEvent(f"{where} is not JSON: {fault}") from None
    except RecursionError:
        raise InvalidEvent(f"{where} is nested too deeply to be read") from None
    if not isinstance(value, dict):
        raise InvalidEvent(f"{where} is {show(value)}, not an object")
    return value


def unwrap(body: dict[str, Any]) -> list[dict[str, Any]]:
    """All layers, from the body to the event."""
    layers = [body]
    while (inner := _inner(layers[-1])) is not None:
        if len(layers) > _MAX_ENVELOPES:
            raise InvalidEvent(f"the event is wrapped in more than {_MAX_ENVELOPES} envelopes")
        layers.append(inner)
    return layers


def _inner(layer: dict[str, Any]) -> dict[str, Any] | None:
    if read(layer, "Type") == "Notification":
        message = read(layer, "Message")
        if not isinstance(message, str):
            raise InvalidEvent(f"the SNS Message is {show(message)}, not a string")
        return read_object(message, "the SNS Message")
    detail = read(layer, "detail")
    if isinstance(detail, dict) and isinstance(read(detail, "detail"), dict):
        return detail
    return None


def detail_of(event: dict[str, Any]) -> dict[str, Any]:
    _, detail = first(event, "detail")
    if detail is None:
        return event  # the flat body
    if not isinstance(detail, dict):
        raise InvalidEvent(f"detail is {show(detail)}, not an object")
    return detail


def read(layer: dict[str, Any], name: str) -> Any:
    """A used field; raises InvalidEvent if the object has it twice."""
    value = layer.get(name)
    if value is _TWICE:
        raise InvalidEvent(f"the key {name} is there more than once in one object")
    return value


def first(layer: dict[str, Any], *names: str) -> tuple[str, Any]:
    """The first of the names that is present, and its value; null and "" count as absent."""
    found = None
    for name in names:
        value = read(layer, name)
        if found is None and value not in (None, ""):
            found = name, value
    return found or (names[0], None)


def string(layer: dict[str, Any], *names: str) -> str | None:
    name, value = first(layer, *names)
    return None if value is None else text(name, value)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidEvent(f"{name} is {show(value)}, not a string")
    if not is_text(value):
        raise InvalidEvent(f"{name} holds lone surrogates: {show(value)}")
    return value


def is_text(value: Any) -> TypeGuard[str]:
    """Whether it is a string without lone surrogates."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def show(value: Any) -> str:
    """A value for a person: escaped and short."""
    if value is None or value is True or value is False:
        return {None: "missing or null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    shown = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
