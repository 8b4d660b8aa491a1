"""Mutations of a sound body's text, by the expected answer; and texts that are no body.

The text it is done to is a JSON object that is not empty.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from random import Random

from reservation_worker.simulator.story.poison import poison_bodies
from tests.fuzz.harness.words import ODD, WORDS, any_text, anything

Harm = Callable[[Random, str], str | bytes]

_NOT_BEFORE = ["x", "}", ",", "\ufeff", "\u00a0", ")]}',\n", "\0", "//", "NaN", "{", "\u200b", "0,"]
_NOT_AFTER = ["x", "}", ",", "]", "\ufeff", "\u00a0", ";", "\0", "// end", "{}", "0", "\n\nnull"]
# As the value of an unused field.
_NOT_VALUES = [
    *("NaN", "-Infinity", "nan", "undefined", "01", "+1", ".5", "1.", "1e", "-", "0x10", "1_000"),
    *("'a'", "True", "", "{]", "[1,]", '"\\x41"', '"\\u12"', '"\\"', '"a\nb"', '"\0"', '"\x1f"'),
    *("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "0" + "}" * 50_000),
    '"\ud800"',
]
_NOT_UTF8 = [b"\xff", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"]
_ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")
_NO_BODIES = [
    *("", " ", "\t\r\n", "hello", "<xml/>", "a=1&b=2", "\0" * 9, "{", '"', "[" * 5000, "42", "[]"),
    *(json.dumps(word) for word in WORDS),
    *(body for _, body in poison_bodies()),
]


def _insert(text: str | bytes, dice: Random, piece: str | bytes) -> str | bytes:
    at = dice.randrange(len(text) + 1)
    return text[:at] + piece + text[at:]  # type: ignore[operator]


def _cut(text: str, dice: Random) -> str:
    start = dice.randrange(len(text))
    return text[start : start + dice.randint(1, 40)]


def _without(text: str, dice: Random) -> str:
    start = dice.randrange(len(text))
    return text[:start] + text[start + dice.choice((1, 1, 2, 10, 100)) :]


def _flip(dice: Random, text: str) -> bytes:
    data = bytearray(text.encode())
    for _ in range(dice.randint(1, 8)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


def _splice(dice: Random, text: str) -> str:
    """The start of one and the end of another: of itself, of poison, of JSON."""
    other = dice.choice((text, dice.choice(_NO_BODIES) or "{", json.dumps(anything(dice))))
    return text[: dice.randrange(len(text))] + other[dice.randrange(len(other)) :][:20_000]


def _soup(dice: Random, text: str) -> str:
    pieces = ["{", "}", "[", "]", ":", ",", '"', "null", "1", "\\u"] + [
        json.dumps(w) for w in WORDS
    ]
    return "".join(dice.choice(pieces) for _ in range(dice.randrange(40)))


INVALID: Mapping[str, Harm] = {
    "truncated": lambda dice, text: text[: dice.randrange(len(text))],
    "junk before": lambda dice, text: dice.choice(_NOT_BEFORE) + text,
    "junk after": lambda dice, text: text + dice.choice(_NOT_AFTER),
    "two bodies": lambda dice, text: text + dice.choice(("", "\n", ",")) + text,
    "in a list": lambda dice, text: f"[{text}]",
    "in a string": lambda dice, text: json.dumps(text),
    "single quotes": lambda dice, text: text.replace('"', "'"),
    "trailing comma": lambda dice, text: f"{text[:-1]},}}",
    "no JSON in a field": lambda dice, text: f'{{"note": {dice.choice(_NOT_VALUES)}, {text[1:]}',
    "not UTF-8": lambda dice, text: _insert(text.encode(), dice, dice.choice(_NOT_UTF8)),
    "another encoding": lambda dice, text: text.encode(dice.choice(_ENCODINGS)),
    "compressed": lambda dice, text: gzip.compress(text.encode(), mtime=0),
    "no body at all": lambda dice, text: dice.choice(_NO_BODIES),
}
"""It can never be understood."""

WILD: Mapping[str, Harm] = {
    "bits flipped": _flip,
    "a piece cut out": lambda dice, text: _without(text, dice),
    "a piece twice": lambda dice, text: _insert(text, dice, _cut(text, dice)),
    "a word put in": lambda dice, text: _insert(text, dice, dice.choice(WORDS + ODD)),
    "another letter case": lambda dice, text: dice.choice((text.upper(), text.swapcase())),
    "spliced": _splice,
    "soup of words": _soup,
    "any text": lambda dice, text: any_text(dice) + any_text(dice),
    "any JSON": lambda dice, text: json.dumps(anything(dice)),
    "raw bytes": lambda dice, text: dice.randbytes(dice.choice((1, 3, 30, 300))),
}
"""Nothing is known."""
