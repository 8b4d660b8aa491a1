"""SQS by the AWS JSON protocol, for measuring: far cheaper than an emulator, and it counts calls.

It has one queue and its dead-letter queue, and checks no credentials. A caller that hung up during
its long poll is handed nothing, which SQS can't promise.
"""

import asyncio
import hashlib
import itertools
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from benchmarks.figures import quantiles_ms
from benchmarks.stubs.envelopes import FORMS
from benchmarks.stubs.http import HOST, Request, listen
from benchmarks.stubs.latency import Latency
from benchmarks.stubs.queue import NAME, Message, Queue
from reservation_worker.simulator.processes.serve import serve_until, stop_on_signals

_ACCOUNT = "000000000000"
_KIND = b"application/x-amz-json-1.0"
_TICK = 0.05
"""Seconds between two checks of the long polls, because a visibility may have ended."""


class Server:
    """The queue behind its protocol, and the harness's own calls under /bench/."""

    def __init__(self) -> None:
        self.queue = Queue(time.monotonic)
        self.latency = Latency()
        self.calls: Counter[str] = Counter()
        self.dead = 0
        self._polls: deque[tuple[Request, Any, float]] = deque()
        self._draining = False
        self._arrivals: asyncio.Task[None] | None = None
        # SentTimestamp is wall time.
        self._wall = time.time() - time.monotonic()
        self._base = ""
        self._numbers = itertools.count()
        self._actions: dict[str, Callable[[Any], Any]] = {
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": lambda asked: _batch(asked, self._delete),
            "ChangeMessageVisibility": self._change_visibility,
            "ChangeMessageVisibilityBatch": lambda asked: _batch(asked, self._change_visibility),
            "GetQueueAttributes": self._attributes,
            "GetQueueUrl": lambda asked: {"QueueUrl": self._url(asked["QueueName"])},
            "CreateQueue": lambda asked: {"QueueUrl": self._url(asked["QueueName"])},
            "ListQueues": lambda _: {"QueueUrls": [self._url(NAME), self._url(f"{NAME}-dlq")]},
            "SendMessage": self._send,
        }
        self._controls: dict[str, Callable[[Any], Any]] = {
            "reset": self._reset,
            "add": lambda asked: self.queue.add(asked["count"]),
            "arrive": self._arrive,
            "mark": self._mark,
            "drain": self._drain,
            "deleted": lambda _: {"deleted": self.queue.deleted},
            "stats": self._stats,
        }

    async def serve(self) -> None:
        """Serve until told to stop."""
        stop = stop_on_signals()
        port = await listen(self.handle)
        self._base = f"http://{HOST}:{port}/{_ACCOUNT}"
        tick = asyncio.create_task(self._look_after_polls())
        await asyncio.to_thread(serve_until, stop, http=port)
        tick.cancel()

    def handle(self, request: Request) -> None:
        """Answer one request, now or after the latency or the long poll."""
        if request.path.startswith("/bench/"):
            control = self._controls[request.path.removeprefix("/bench/")]
            request.reply(control(request.json()) or {})
            self._answer_polls()
            return
        action = request.header(b"x-amz-target").decode().rpartition(".")[2]
        self.calls[action] += 1
        asyncio.get_running_loop().call_later(self.latency.next(), self._act, action, request)

    def _act(self, action: str, request: Request) -> None:
        asked = request.json()
        if action == "ReceiveMessage":
            self._polls.append((request, asked, time.monotonic() + asked.get("WaitTimeSeconds", 0)))
        elif action in self._actions:
            try:
                request.reply(self._actions[action](asked), kind=_KIND)
            except ValueError as error:
                request.reply({"__type": str(error), "message": str(error)}, 400, _KIND)
        else:
            request.reply({"__type": "InvalidAction", "message": f"no {action} here"}, 400, _KIND)
        self._answer_polls()

    async def _look_after_polls(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._answer_polls()

    def _answer_polls(self) -> None:
        for _ in range(len(self._polls)):
            request, asked, until = self._polls.popleft()
            if request.gone:
                continue
            messages = [] if self._draining else self._take(asked)
            if not messages and not self._draining and time.monotonic() < until:
                self._polls.append((request, asked, until))
                continue
            answer = {"Messages": [self._shown(one) for one in messages]} if messages else {}
            request.reply(answer, kind=_KIND)

    def _take(self, asked: Any) -> list[Message]:
        return self.queue.receive(
            asked.get("MaxNumberOfMessages", 1), asked.get("VisibilityTimeout")
        )

    def _shown(self, message: Message) -> dict[str, Any]:
        return {
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "MD5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "Body": message.body,
            "Attributes": {
                "ApproximateReceiveCount": str(message.count),
                "SentTimestamp": str(round((message.sent_at + self._wall) * 1000)),
            },
        }

    def _delete(self, asked: Any) -> dict[str, Any]:
        self.queue.delete(asked["ReceiptHandle"])
        return {}

    def _change_visibility(self, asked: Any) -> dict[str, Any]:
        if not self.queue.change_visibility(asked["ReceiptHandle"], asked["VisibilityTimeout"]):
            raise ValueError("MessageNotInflight")
        return {}

    def _send(self, asked: Any) -> dict[str, Any]:
        if not asked["QueueUrl"].endswith("-dlq"):
            raise ValueError("UnsupportedOperation")
        self.dead += 1
        return {"MessageId": f"dead-{next(self._numbers)}"}

    def _attributes(self, asked: Any) -> dict[str, Any]:
        arn = f"arn:aws:sqs:ap-northeast-2:{_ACCOUNT}:{NAME}"
        dead = asked["QueueUrl"].endswith("-dlq")
        policy = {"deadLetterTargetArn": f"{arn}-dlq", "maxReceiveCount": 30}
        return {
            "Attributes": {
                "QueueArn": f"{arn}-dlq" if dead else arn,
                "VisibilityTimeout": str(round(self.queue.visibility)),
                "MessageRetentionPeriod": str(4 * 86_400),
                "RedrivePolicy": json.dumps(policy),
                "ApproximateNumberOfMessages": str(self.dead if dead else self.queue.visible),
                "ApproximateNumberOfMessagesNotVisible": str(0 if dead else self.queue.in_flight),
                "ApproximateNumberOfMessagesDelayed": "0",
            }
        }

    def _url(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _reset(self, asked: Any) -> None:
        if self._arrivals is not None:
            self._arrivals.cancel()
        self._draining = False
        self.queue.reset(FORMS[asked["form"]])
        self.latency.set(asked["latency_ms"], 0)
        self._mark(None)

    def _mark(self, _: Any) -> None:
        self.queue.mark()
        self.calls.clear()
        self.dead = 0

    def _drain(self, _: Any) -> None:
        # A stop lets a long poll end by itself; no run should wait 20 s for that.
        self._draining = True

    def _arrive(self, asked: Any) -> None:
        self._arrivals = asyncio.create_task(self._poisson(asked["rate"], asked["count"]))

    async def _poisson(self, rate: float, count: int) -> None:
        dice = random.Random(rate)  # noqa: S311 - a load, the same in each run
        due = time.monotonic()
        for _ in range(count):
            due += dice.expovariate(rate)
            if (pause := due - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            self.queue.add(1)
            self._answer_polls()

    def _stats(self, _: Any) -> dict[str, Any]:
        queue = self.queue
        return {
            "calls": dict(self.calls),
            "deleted": queue.deleted,
            "seconds": queue.last_delete - queue.began,
            "redelivered": queue.redelivered,
            "dead": self.dead,
            "held_ms": quantiles_ms(queue.held),
        }


def _batch(asked: Any, one: Callable[[Any], Any]) -> dict[str, Any]:
    done, failed = [], []
    for entry in asked["Entries"]:
        try:
            one(entry)
        except ValueError as error:
            failed.append({"Id": entry["Id"], "Code": str(error), "SenderFault": True})
        else:
            done.append({"Id": entry["Id"]})
    return {"Successful": done, "Failed": failed}


if __name__ == "__main__":
    asyncio.run(Server().serve())
