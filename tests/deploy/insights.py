"""The part of CloudWatch Logs Insights that the runbook's queries use."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

Line = dict[str, Any]


def run(query: str, lines: Sequence[Line]) -> list[Line]:
    """The rows of the answer. Raises ValueError for an unknown command, condition or function.

    CloudWatch finds the fields of JSON lines by itself. A field that no line has is a mistake in
    the query and raises KeyError.
    """
    rows = list(lines)
    for step in query.split("|"):
        command, _, rest = step.strip().partition(" ")
        if command == "fields":
            wanted = [name for name in re.split(r",\s*", rest) if not name.startswith("@")]
            _known(wanted, rows)
        elif command == "filter":
            for condition in re.split(r"\s+and\s+", rest):
                rows = [row for row in rows if _holds(condition, row, rows)]
        elif command == "stats":
            rows = _stats(rest, rows)
        else:
            raise ValueError(f"no command {command!r}")
    return rows


def _known(names: Sequence[str], rows: Sequence[Line]) -> None:
    for name in names:
        if not any(name in row for row in rows):
            raise KeyError(name)


def _holds(condition: str, row: Line, rows: Sequence[Line]) -> bool:
    if present := re.fullmatch(r"ispresent\((\w+)\)", condition):
        return row.get(present[1]) is not None
    found = re.fullmatch(r"(\w+)\s+(=|like|in|not in)\s+(.+)", condition)
    if not found:
        raise ValueError(f"no condition {condition!r}")
    name, operator, text = found.groups()
    _known([name], rows)
    value, given = row.get(name), json.loads(text)
    if operator == "like":
        return value is not None and given in str(value)
    if operator == "=":
        return bool(value == given)
    return (value in given) is (operator == "in")


def _stats(text: str, rows: Sequence[Line]) -> list[Line]:
    found = re.fullmatch(r"(\w+\([^)]*\)) by (.+)", text)
    if not found:
        raise ValueError(f"no statistic {text!r}")
    function, names = found[1], re.split(r",\s*", found[2])
    _known(names, rows)
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return [
        dict(zip(names, key, strict=True)) | {function: _value(function, group)}
        for key, group in groups.items()
    ]


def _value(function: str, rows: Sequence[Line]) -> float:
    if function in ("count()", "count(*)"):
        return len(rows)
    found = re.fullmatch(r"pct\((\w+), (\d+)\)", function)
    if not found:
        raise ValueError(f"no function {function!r}")
    numbers = sorted(row[found[1]] for row in rows)
    return float(numbers[math.ceil(len(numbers) * int(found[2]) / 100) - 1])
