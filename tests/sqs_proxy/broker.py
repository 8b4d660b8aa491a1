"""Injects faults into each action of SQS; knows no sockets.

It stands between the worker and the real server. It asks the server through `Ask`, and returns the
answer for the worker or raises CutError for none.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sqs_proxy.deliveries import Deliveries, Delivery, Use, Waiting
from tests.sqs_proxy.faults import DELETE, RECEIVE, VISIBILITY, FaultPlan

_SENDER_CODE, _SERVER_CODE = "InvalidParameterValue", "InternalError"
_DENIALS = (
    ("expired_credentials", "ExpiredToken", "the security token in the request is expired"),
    ("access_denied", "AccessDenied", "no identity-based policy allows the action"),
)


class CutError(Exception):
    """The connection is to be reset: there is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON body and, for an error, its code in the words of the old query protocol."""

    status: int
    body: Mapping[str, Any]
    query_error: str = ""
    # Its messages, recorded as delivered once the answer is on its way.
    deliveries: list[Delivery] = field(default_factory=list)


Ask = Callable[[str, Mapping[str, Any]], Answer]
"""Ask the real SQS: action, body."""


class Broker:
    """Thread-safe. `max_visibility` shortens every longer change of visibility.

    So a message that the worker hides for 15 minutes comes back during the test.
    """

    def __init__(self, plan: FaultPlan, stop: threading.Event) -> None:
        self.plan = plan
        self.deliveries = Deliveries()
        self.max_visibility = 43_200
        self._stop = stop
        self._visibility: dict[str, int] = {}

    def serve(self, action: str, worker: str, body: Mapping[str, Any], ask: Ask) -> Answer:
        """Answer one request, with its faults. Raises CutError."""
        asked_at = time.time()
        try:
            fault = self._before(action)
        except CutError:
            self._note(worker, action, body, asked_at, "")
            raise
        if fault:
            self._note(worker, action, body, asked_at, "error")
            return fault
        if action == RECEIVE:
            answer = self._receive(worker, body, ask)
        elif action in (DELETE, VISIBILITY):
            return self._batch(worker, action, body, ask)
        else:
            answer = ask(action, body)
        if self.plan.hit("reset_after", action):
            raise CutError
        return answer

    def _before(self, action: str) -> Answer | None:
        plan = self.plan
        if plan.hit("hang", action):
            self._stop.wait(plan.seconds("hang"))
            raise CutError
        if plan.hit("reset", action):
            raise CutError
        if plan.hit("error_500", action):
            if plan.coin("error_500"):
                return _error(503, "ServiceUnavailable", "try again later", "Receiver")
            return _error(500, "InternalFailure", "an internal error", "Receiver")
        if plan.hit("throttled", action):
            if plan.coin("throttled"):
                return _error(400, "ThrottlingException", "Rate exceeded")
            return _error(400, "RequestThrottled", "the request was throttled")
        for fault, code, message in _DENIALS:
            if plan.hit(fault, action):
                return _error(403, code, message)
        return None

    def _receive(self, worker: str, body: Mapping[str, Any], ask: Ask) -> Answer:
        plan, book, url = self.plan, self.deliveries, body.get("QueueUrl", "")
        asked_at = time.time()
        self._learn(url, ask)
        limit = int(body.get("MaxNumberOfMessages", 1))
        out = [
            (waiting.message, waiting.copy)
            for waiting in book.take(limit, leave=plan.on("reorder") and plan.coin("reorder"))
            if waiting.deleted or self._refresh(waiting, ask)
        ]
        if len(out) < limit:
            wait = {"WaitTimeSeconds": 0} if out else {}
            answer = ask(RECEIVE, {**body, "MaxNumberOfMessages": limit - len(out), **wait})
            if answer.status != 200 and not out:
                return answer
            for message in answer.body.get("Messages", []):
                book.came(message)
                if plan.hit("reorder", RECEIVE, message["MessageId"]):
                    book.wait(Waiting(message, url))
                    continue
                out.append((message, False))
                if plan.hit("duplicate_delivery", RECEIVE, message["MessageId"]):
                    book.wait(Waiting(message, url, copy=True))
        if plan.on("reorder"):
            plan.shuffle(out)
        made = [
            book.hand_out(message, worker, asked_at, copy, own=copy and plan.coin("receipt"))
            for message, copy in out
        ]
        if made and plan.hit("ghost_receive", RECEIVE):
            raise CutError
        if plan.hit("slow_poll", RECEIVE):
            self._stop.wait(plan.seconds("slow_poll"))
        shown = {"Messages": [message for _, message in made]} if made else {}
        return Answer(200, shown, deliveries=[delivery for delivery, _ in made])

    def _learn(self, url: str, ask: Ask) -> None:
        """Read the queue's visibility timeout."""
        if url not in self._visibility:
            asked = {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}
            given = ask("GetQueueAttributes", asked).body.get("Attributes", {})
            self._visibility[url] = int(given.get("VisibilityTimeout", 30))

    def _refresh(self, waiting: Waiting, ask: Ask) -> bool:
        """A message is leased for the queue's whole visibility timeout."""
        url, receipt = waiting.queue_url, waiting.message["ReceiptHandle"]
        seconds = self._visibility[url]
        asked = {"QueueUrl": url, "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
        return ask("ChangeMessageVisibility", asked).status == 200

    def _batch(self, worker: str, action: str, body: Mapping[str, Any], ask: Ask) -> Answer:
        asked_at = time.time()
        failed: list[dict[str, Any]] = []
        lied: list[str] = []
        forward: list[dict[str, Any]] = []
        for entry in body.get("Entries", []):
            fate = self._fate(action, entry)
            if fate is None:
                forward.append(self._translated(action, entry))
            elif fate:
                failed.append({"Id": entry["Id"], "Message": "a fault", **fate})
            else:
                lied.append(entry["Id"])
        done: set[str] = set()
        if forward:
            answer = ask(action, {**body, "Entries": forward})
            if answer.status != 200:
                self._note(worker, action, body, asked_at, "error")
                return answer
            done = {row["Id"] for row in answer.body.get("Successful", [])}
            failed += answer.body.get("Failed", [])
        cut = self.plan.hit("reset_after", action)
        codes = {row["Id"]: row.get("Code", "") for row in failed}
        for entry in body.get("Entries", []):
            answered = "" if cut else codes.get(entry["Id"], "ok")
            self._used(worker, action, entry, asked_at, answered, entry["Id"] in done, body)
        if cut:
            raise CutError
        return Answer(200, {"Successful": [{"Id": i} for i in (*done, *lied)], "Failed": failed})

    def _fate(self, action: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """None: forward it; else the failure to answer, an empty one meaning a false success."""
        known = self.deliveries.message(entry["ReceiptHandle"])
        what = known["MessageId"] if known else entry["ReceiptHandle"]
        kind = "delete" if action == DELETE else "visibility"
        if self.plan.hit(f"{kind}_failed_sender", action, what):
            return {"Code": _SENDER_CODE, "SenderFault": True}
        if self.plan.hit(f"{kind}_failed_server", action, what):
            return {"Code": _SERVER_CODE, "SenderFault": False}
        if self.plan.hit("stale_receipt", action, what):
            return {"Code": "ReceiptHandleIsInvalid", "SenderFault": True}
        if self.plan.hit("delete_lost", action, what):
            return {}
        return None

    def _translated(self, action: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The entry in SQS's own words."""
        receipt = entry["ReceiptHandle"]
        newer = self.deliveries.newer(receipt) if self.plan.on("stale_works") else None
        if newer and self.plan.hit("stale_works", action, receipt):
            asked = {**entry, "ReceiptHandle": newer}
        else:
            asked = {**entry, "ReceiptHandle": self.deliveries.upstream(receipt)}
        if action == VISIBILITY:
            asked["VisibilityTimeout"] = min(self.max_visibility, int(entry["VisibilityTimeout"]))
        return asked

    def _note(
        self, worker: str, action: str, body: Mapping[str, Any], asked_at: float, answered: str
    ) -> None:
        """Record a request that never reached SQS."""
        for entry in body.get("Entries", []) if action in (DELETE, VISIBILITY) else []:
            self._used(worker, action, entry, asked_at, answered, False, body)

    def _used(
        self,
        worker: str,
        action: str,
        entry: Mapping[str, Any],
        asked_at: float,
        answered: str,
        done: bool,
        body: Mapping[str, Any],
    ) -> None:
        book, receipt = self.deliveries, entry["ReceiptHandle"]
        seconds = int(entry.get("VisibilityTimeout", 0))
        url = body.get("QueueUrl", "")
        what = "delete" if action == DELETE else "visibility"
        book.used(worker, receipt, Use(what, seconds, asked_at, time.time(), answered, done))
        given_back = action == VISIBILITY and seconds < self._visibility.get(url, seconds)
        if not done or not (action == DELETE or given_back):
            return
        message = book.message(receipt)
        book.over(receipt, deleted=action == DELETE)
        if message and self.plan.hit("duplicate_after_delete", action, message["MessageId"]):
            book.wait(Waiting(message, url, copy=True, deleted=True))


def _error(status: int, code: str, message: str, fault: str = "Sender") -> Answer:
    body = {"__type": f"com.amazonaws.sqs#{code}", "message": message}
    return Answer(status, body, f"{code};{fault}")
