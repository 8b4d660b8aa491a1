"""A quick selection of the parser's fuzzing; `python -m tests.fuzz.harness` runs all of it.

The second half shows that the check can fail: for a parser that is wrong.
"""

import dataclasses
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import pytest

from reservation_worker.errors import InvalidEvent
from reservation_worker.events import parse as events
from tests.fuzz.harness import promises
from tests.fuzz.harness.fields import CHANGING, IGNORED, INVALID, NEUTRAL
from tests.fuzz.harness.mutations import mutants
from tests.fuzz.harness.parser import fuzz_parser
from tests.fuzz.harness.run import coverage_of
from tests.fuzz.harness.texts import INVALID as INVALID_TEXTS
from tests.fuzz.harness.texts import WILD as WILD_TEXTS
from tests.fuzz.harness.wild import WILD


def test_the_parser_keeps_every_promise_for_mutated_bodies():
    figures = fuzz_parser(3000, seed=1)
    assert figures.ok, figures.broken
    assert figures.examples == 3000
    assert figures.distinct > 2700
    tables = (NEUTRAL, CHANGING, IGNORED, INVALID, WILD)
    names = {name for table in tables for name, _, _ in table} | {*INVALID_TEXTS, *WILD_TEXTS}
    assert not names - figures.mutations.keys()


def test_the_same_seed_makes_the_same_bodies():
    assert list(islice(mutants(4), 200)) == list(islice(mutants(4), 200))
    assert list(islice(mutants(4), 200)) != list(islice(mutants(5), 200))


@pytest.mark.slow
def test_the_fuzzing_reaches_every_branch_of_the_parser():
    for name, found in coverage_of(5000, seed=1).items():
        assert not found["missing_branches"], name


def parser(change: Callable[[Any], Any]) -> Any:
    """The sound parser, its answer or refusal changed."""

    def parse(body: str | bytes, attributes: Mapping[str, str]) -> Any:
        found: Any
        try:
            found = events.parse(body, attributes)
        except InvalidEvent as error:
            found = error
        found = change(found)
        if isinstance(found, Exception):
            raise found
        return found

    return parse


def where(mark: str, instead: Any) -> Callable[[Any], Any]:
    """Replace an answer or refusal that contains `mark`."""
    return lambda found: instead if mark in str(found) else found


def event(**fields: Any) -> Callable[[Any], Any]:
    """Every event with other fields."""
    return lambda found: (
        dataclasses.replace(found, **fields) if isinstance(found, events.Event) else found
    )


LET_THROUGH = events.Ignored("rsv_1", "why not", events.TraceHints())
WRONG_PARSERS = {
    "a bug where a field is missing": (
        where("no reservation_id", KeyError("reservation_id")),
        "parse raised KeyError('reservation_id')",
    ),
    "a missing field let through": (
        where("no reservation_id", LET_THROUGH),
        "invalid, not ignored",
    ),
    "an unknown type let through": (where("is unknown", LET_THROUGH), "it is invalid, not ignored"),
    "no answer": (where("no type", None), "parse returned None"),
    "a field nobody needs demanded": (
        where("user_id=None", InvalidEvent("the event has no user_id")),
        "it is event, not invalid",
    ),
    "a fact lost": (event(error_code=None), "it says"),
    "a fact invented": (event(event_id="evt_1"), "it says"),
    "an id that is unsafe": (event(reservation_id="rsv_1\n"), "is unsafe"),
    "a quantity that no seats have": (event(qty=2**31), "the quantity is 2147483648"),
    "a refusal that is too long": (
        where("is empty", InvalidEvent("x" * 241)),
        "not fit to be read",
    ),
    "a refusal that forges a log line": (
        where("not JSON", InvalidEvent("not JSON\nERROR all is lost")),
        "not fit to be read",
    ),
}


@pytest.mark.parametrize("name", WRONG_PARSERS)
def test_a_parser_that_breaks_a_promise_is_caught(name: str):
    change, says = WRONG_PARSERS[name]
    figures = fuzz_parser(400, seed=1, parse=parser(change))
    assert not figures.ok
    assert says in figures.broken[0]


def test_a_parse_that_takes_too_long_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promises, "LIMIT_MS", 0.0)
    assert "of CPU time" in fuzz_parser(5, seed=1).broken[0]
