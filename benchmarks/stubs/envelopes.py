"""The envelopes of frameworks that read only their own messages. Pure."""

import json
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping

from benchmarks.stubs.queue import NAME, body

TASK = "settle"


def dramatiq(number: int) -> str:
    """As dramatiq-sqs sends it."""
    message = {
        "queue_name": NAME,
        "actor_name": TASK,
        "args": [json.loads(body(number))],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid.UUID(int=number)),
        "message_timestamp": 1795600800000,
    }
    return _base64(json.dumps(message, separators=(",", ":")))


def celery(number: int) -> str:
    """As celery sends it, protocol 2: the body in base64 in an envelope in base64."""
    name = str(uuid.UUID(int=number))
    event = json.loads(body(number))
    chains = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    message = {
        "body": _base64(json.dumps([[event], {}, chains])),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK,
            "id": name,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": name,
            "parent_id": None,
            "argsrepr": repr([event]),
            "kwargsrepr": "{}",
            "origin": "gen1@reservation-api",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": name,
            "reply_to": name,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": NAME},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": name,
        },
    }
    return _base64(json.dumps(message))


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


FORMS: Mapping[str, Callable[[int], str]] = {"plain": body, "dramatiq": dramatiq, "celery": celery}
"""The body of message `number`, by the form that a contestant reads."""
