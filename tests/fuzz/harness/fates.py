"""The mutated bodies for a worker, each with its expected end."""

import sys
from dataclasses import dataclass

from reservation_worker.errors import InvalidEvent
from reservation_worker.events import parse as events
from reservation_worker.events.kinds import BY_LABEL
from reservation_worker.simulator.story.scenario import Message, Scenario
from tests.fuzz.harness.mutations import ANY, EVENT, IGNORED, INVALID, Mutant, mutants

INVALID_PAYLOAD, DROPPED, SETTLED = "invalid_payload", "dropped", "settled"
PERMANENT, COMPENSATION = "permanent_error", "compensation_required"
"""The fates. The last two are for an event with an unknown reservation: the PATCH is answered 404
RESERVATION_NOT_FOUND, which is permanent, and a customer who paid has no seat."""

# More frames than any two callers of the parser differ by.
_MARGIN = 150


@dataclass(frozen=True, slots=True)
class Sent:
    """A mutated body and its expected end; kind and id only if it parses."""

    mutant: Mutant
    message: Message
    fate: str
    kind: str = ""
    reservation_id: str = ""


def choose(count: int, seed: int, story: Scenario) -> list[Sent]:
    """Bodies that SQS takes, none of them twice or the story's; no two of one reservation."""
    bodies = {message.body for message in story.messages}
    reservations = set(story.expected)
    found: list[Sent] = []
    row = mutants(seed)
    while len(found) < count:
        mutant = next(row)
        body = mutant.body
        if not isinstance(body, str) or not mutant.carriable or body in bodies:
            continue
        one = _sent(mutant, body, seeded=len(found) % 2 == 0)
        if one is None or one.reservation_id in reservations:
            continue
        bodies.add(body)
        reservations |= {one.reservation_id} - {""}
        found.append(one)
    return found


def _sent(mutant: Mutant, body: str, seeded: bool) -> Sent | None:
    expected, kind, rid = mutant.expected, "", mutant.reservation_id
    if mutant.facts is not None:
        kind = mutant.facts["kind"]
    elif expected == ANY:
        expected, kind, rid = _parsed(body)
        if _parsed(body, deeper=_MARGIN) != _parsed(body, deeper=-_MARGIN):
            return None
    message = Message(body, "mutated", kind, mutant.name, attributes=mutant.attributes)
    if expected == INVALID:
        return Sent(mutant, message, INVALID_PAYLOAD)
    if expected == IGNORED:
        return Sent(mutant, message, DROPPED, "", rid)
    if seeded and mutant.record is not None:
        return Sent(mutant, message, SETTLED, kind, rid)
    unknown = COMPENSATION if BY_LABEL[kind].value.money_taken else PERMANENT
    return Sent(mutant, message, unknown, kind, rid)


def _parsed(body: str, deeper: int = 0) -> tuple[str, str, str]:
    """The parser's own answer, where nothing else decides; it must not depend on the stack.

    Of nesting, Python reads as much as the stack has room for: `deeper` is how much more it has
    used already.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit - deeper)
    try:
        answer = events.parse(body)
    except InvalidEvent:
        return INVALID, "", ""
    finally:
        sys.setrecursionlimit(limit)
    if isinstance(answer, events.Ignored):
        return IGNORED, "", answer.reservation_id
    return EVENT, answer.kind.label, answer.reservation_id
