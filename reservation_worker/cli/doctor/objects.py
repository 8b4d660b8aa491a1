"""Reads YAML objects of any shape without raising."""

import re
from collections.abc import Mapping
from typing import Any

_UNITS = {"": 1, **{f"{p}i": 1024**n for n, p in enumerate("KMGT", 1)}}
_UNITS |= {p: 1000**n for n, p in enumerate(("k", "M", "G", "T"), 1)}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]{0,2})")


def at(value: Any, *path: str) -> Any:
    """The value at `path`, or None."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; empty for any other value."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def name_of(document: Mapping[str, Any]) -> str:
    """Its metadata.name."""
    return str(at(document, "metadata", "name") or "?")


def quantity(value: Any) -> int | None:
    """Bytes of a quantity such as 256Mi, or None if it is not one."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None or match[2] not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2]])
