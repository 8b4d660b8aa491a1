"""What a resource's policy allows EventBridge, without evaluating all of IAM."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from reservation_worker.cli.doctor.objects import items, mapping

SERVICE = "events.amazonaws.com"
_OPERATORS = {"arnequals", "arnlike", "stringequals", "stringlike"}


def source_arns(policy: str, action: str) -> list[str]:
    """Patterns of the rules for which EventBridge may do `action`; empty: it may not.

    "*" stands for any rule. Other conditions and statements that deny are ignored.
    """
    try:
        document = json.loads(policy or "{}")
    except ValueError:
        return []
    statements = mapping(document).get("Statement")
    found: list[str] = []
    for statement in items(statements if isinstance(statements, list) else [statements]):
        if statement.get("Effect") == "Allow" and _is_for(statement, action):
            found += list(_sources(statement)) or ["*"]
    return found


def admits(patterns: list[str], rule_arn: str) -> bool:
    """Whether a pattern matches the rule."""
    return any(fnmatchcase(rule_arn, pattern) for pattern in patterns)


def _is_for(statement: Any, action: str) -> bool:
    principal = statement.get("Principal")
    # AWS takes {"AWS": "*"} for "*".
    anybody = principal == "*" or "*" in _listed(mapping(principal).get("AWS"))
    actions = (str(one).lower() for one in _listed(statement.get("Action")))
    return (anybody or SERVICE in _listed(mapping(principal).get("Service"))) and any(
        fnmatchcase(action.lower(), pattern) for pattern in actions
    )


def _sources(statement: Any) -> Iterator[str]:
    """The values of aws:SourceArn in its conditions."""
    for operator, keys in mapping(statement.get("Condition")).items():
        if operator.lower() in _OPERATORS:
            for key, values in mapping(keys).items():
                if key.lower() == "aws:sourcearn":
                    yield from map(str, _listed(values))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
