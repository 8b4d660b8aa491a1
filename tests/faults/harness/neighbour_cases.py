"""The fault scenarios of the two neighbours, as data (see case.py)."""

from collections.abc import Mapping
from dataclasses import replace

from reservation_worker.simulator.neighbours.character import Character
from tests.faults.harness.case import Answers, Case, Step

IN, RS = "inventory", "reservation"


def outage(target: str, seconds: float = 4.0) -> tuple[Step, ...]:
    return (Step("down", target, 0.3), Step("clear", target, pause=seconds))


_PASSING = (
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "CANCELLED",
    "INTERNAL",
    "UNKNOWN",
    "UNIMPLEMENTED",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
)
_BROKEN = {"body": {}, "truncated": True}
_HTML = "<html><body>Bad Gateway</body></html>"
NEIGHBOURS: Mapping[str, Case] = {
    "neighbours: slow, with a long tail": Case(
        answers=(
            Answers("both", {"sleep": 0.4, "name": "0.4 s late"}, 0.1),
            Answers("both", {"sleep": 1.5, "name": "past the deadline"}, 0.03),
            Answers(
                "both", {"sleep": 1.5, "name": "past the deadline after the effect"}, 0.03, True
            ),
        ),
        latency_ms=(60, 55),
    ),
    "neighbours: some calls hang": Case(
        steps=(
            Step("hang", "both", ids=12),
            Step("clear", "both", pause=5),
            Step("hang", "both", after=True, ids=40),
            Step("clear", "both", pause=4),
        )
    ),
    "neighbours: all calls hang": Case(
        steps=(Step("hang", "both", 0.2), Step("clear", "both", pause=5))
    ),
    "neighbours: resets before the effect": Case(
        answers=(Answers(RS, {"reset": True, "name": "reset"}, 0.2),)
    ),
    "neighbours: resets after the effect": Case(
        answers=(Answers(RS, {"reset": True, "name": "reset after"}, 0.2, after=True),)
    ),
    "neighbours: 408, 425, 429": Case(
        answers=(
            Answers(RS, {"status": 408, "name": "408"}, 0.07),
            Answers(RS, {"status": 425, "name": "425"}, 0.07),
            Answers(RS, {"status": 429, "headers": {"Retry-After": "2"}, "name": "429"}, 0.07),
        )
    ),
    "neighbours: 500, 502, 503, 504": Case(
        answers=tuple(
            Answers(RS, {"status": status, "name": f"{status}{' after' * after}"}, 0.04, after)
            for status in (500, 502, 503, 504)
            for after in (False, True)
        )
    ),
    "neighbours: HTML": Case(
        answers=(
            Answers(RS, {"status": 200, "body": _HTML, "name": "HTML 200"}, 0.1),
            Answers(RS, {"status": 502, "body": _HTML, "name": "HTML 502"}, 0.1),
        )
    ),
    "neighbours: broken-off bodies": Case(
        answers=(
            Answers(RS, {**_BROKEN, "status": 200, "name": "broken-off 200"}, 0.07),
            Answers(RS, {**_BROKEN, "status": 200, "name": "broken-off 200 after"}, 0.07, True),
            Answers(RS, {**_BROKEN, "status": 400, "name": "broken-off 400"}, 0.07),
        )
    ),
    "neighbours: redirects": Case(
        answers=tuple(
            Answers(
                RS,
                {"status": status, "headers": {"Location": "http://DECOY/"}, "name": str(status)},
                0.06,
            )
            for status in (301, 302, 307, 308)
        )
    ),
    "neighbours: huge bodies": Case(
        answers=(
            Answers(RS, {"status": 200, "body_bytes": 3_000_000, "name": "3 MB"}, 0.1),
            Answers(IN, {"message_bytes": 11_000_000, "name": "11 MB"}, 0.03),
        )
    ),
    "neighbours: misrouted": Case(
        answers=tuple(
            Answers(
                RS, {"status": status, "body": _HTML, "method": "PATCH", "name": str(status)}, 0.05
            )
            for status in (401, 403, 404, 405)
        )
    ),
    "grpc: UNAVAILABLE": Case(answers=(Answers(IN, {"code": "UNAVAILABLE"}, 0.25),)),
    "grpc: DEADLINE_EXCEEDED after the effect": Case(
        answers=(Answers(IN, {"code": "DEADLINE_EXCEEDED"}, 0.25, after=True),)
    ),
    "grpc: every passing status": Case(
        answers=tuple(
            Answers(IN, {"code": code, "name": f"{code}{' after' * after}"}, 0.03, after)
            for code in _PASSING
            for after in (False, True)
        )
    ),
    "grpc: fails in band": Case(
        answers=(
            Answers(IN, {"error_code": 16, "name": "INTERNAL in band"}, 0.06),
            Answers(IN, {"status": 1, "error_code": 17, "name": "SUCCESS with UNAVAILABLE"}, 0.06),
            Answers(IN, {"error_code": 18, "name": "TIMEOUT in band after"}, 0.06, after=True),
            Answers(IN, {"status": 99, "name": "unknown status"}, 0.06),
            Answers(IN, {"error_code": 99, "name": "unknown error code"}, 0.06),
            Answers(
                IN,
                {"status": 4, "method": "ReleaseHold", "name": "RELEASE_STATUS_FAILED"},
                0.2,
            ),
        )
    ),
    "neighbours: every false answer": Case(
        answers=tuple(
            Answers(RS, {**answer, "name": name}, 0.03, after=after)
            for name, answer, after in (
                ("reset", {"reset": True}, False),
                ("reset after", {"reset": True}, True),
                ("broken-off 200", {**_BROKEN, "status": 200}, False),
                ("broken-off 400", {**_BROKEN, "status": 400}, True),
                ("302", {"status": 302, "headers": {"Location": "http://DECOY/"}}, False),
                ("307", {"status": 307, "headers": {"Location": "http://DECOY/"}}, True),
                ("429", {"status": 429, "headers": {"Retry-After": "1"}}, False),
                ("503", {"status": 503}, True),
                ("HTML 200", {"status": 200, "body": _HTML}, False),
                ("3 MB", {"body_bytes": 3_000_000, "status": 200}, False),
            )
        )
        + tuple(
            Answers(IN, {**answer, "name": name}, 0.04, after=after)
            for name, answer, after in (
                ("UNAVAILABLE", {"code": "UNAVAILABLE"}, False),
                ("DEADLINE_EXCEEDED after", {"code": "DEADLINE_EXCEEDED"}, True),
                ("INTERNAL in band", {"error_code": 16}, False),
                ("UNAVAILABLE in band after", {"error_code": 17}, True),
                ("unknown status", {"status": 99}, False),
            )
        ),
    ),
    "grpc: restarts on the same port": Case(
        steps=tuple(Step("restart", IN, progress) for progress in (0.1, 0.3, 0.5, 0.7))
    ),
    "neighbours: both restart": Case(
        steps=tuple(Step("restart", "both", progress) for progress in (0.1, 0.3, 0.5, 0.7))
    ),
    "outage of inventory": Case(steps=outage(IN)),
    "outage of reservation-api": Case(steps=outage(RS)),
    "outage of both": Case(steps=outage("both")),
    "inventory: its connections fall silent": Case(steps=(Step("black_hole", IN, 0.3),)),
}

# Longer than all tries of a message take.
_FEW_TRIES = {"MAX_RETRIES": "5"}


# From the first message on: a slow machine would settle all of them before a later step.
_TROUBLE = (Step("trouble", IN), Step("clear", IN, pause=8))


TODAY: Mapping[str, Case] = {
    "inventory: INTERNAL under load": Case(steps=_TROUBLE, env=_FEW_TRIES, latency_ms=(60, 50)),
    "inventory: INTERNAL with one message": Case(
        steps=_TROUBLE, env=_FEW_TRIES, workers=1, events=1
    ),
    # Releases that took effect but were answered with a failure are due again when their keys are
    # forgotten. All are of quantities, which only the key guards.
    "inventory: keys are forgotten": Case(
        answers=(
            Answers(
                IN,
                {"code": "INTERNAL", "method": "ReleaseHold", "name": "INTERNAL after"},
                0.4,
                after=True,
            ),
        ),
        env={"MAX_RETRIES": "3", "BACKOFF_BASE_MS": "4000", "INVENTORY_KEY_TTL": "3"},
        visibility=10,
        key_ttl=3,
        general_admission=1.0,
    ),
}
"""What only today's neighbours do."""


def as_today(case: Case) -> Case:
    """The same with today's neighbours: in-band failures of inventory become INTERNAL."""
    answers = tuple(
        replace(one, answer={"trouble": True, "name": one.answer["name"]})
        if one.target == IN and {"status", "error_code"} & one.answer.keys()
        else one
        for one in case.answers
    )
    return replace(case, answers=answers, character=Character.TODAY)


def named(name: str, character: Character) -> str:
    """The name of a run with neighbours of this character."""
    return f"today: {name}" if character is Character.TODAY else name
