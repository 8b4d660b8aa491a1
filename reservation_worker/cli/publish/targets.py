"""Where events go: a queue by SendMessageBatch, or a bus by PutEvents. One entry is one event."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reservation_worker.cli import operator_aws
from reservation_worker.config.settings import Settings
from reservation_worker.errors import InvalidEvent
from reservation_worker.events.envelopes import string
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import MAX_BYTES, BatchFailure, failures

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

Entry = Mapping[str, str]

# The codes that AWS calls retryable for PutEvents.
_PASSING = frozenset({"InternalFailure", "ThrottlingException"})


class Target(ABC):
    """`name` is for people; `most_bytes` is the limit of a call and of an entry."""

    most_bytes: int

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def entry(self, body: str) -> Entry:
        """The entry for `body`. Raises InvalidEvent if there can be none."""

    def size(self, entry: Entry) -> int:
        """Its weight against `most_bytes`."""
        return sum(len(text.encode()) for name, text in entry.items() if name != "EventBusName")

    @abstractmethod
    def show(self, entry: Entry) -> str:
        """The entry as one line of JSON."""

    @abstractmethod
    def connect(self, settings: Settings) -> tuple[str, ...]:
        """Make the client; returns the queue's URL, if any, and the endpoint that it calls.

        AWS_ENDPOINT_URL may name another host than the queue's URL. Raises ConfigurationError.
        """

    @abstractmethod
    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        """One call; the failures by position. Raises OperationError when all of it failed."""


class QueueTarget(Target):
    """The queue at the URL `name`. The body is the message; it has no attributes."""

    most_bytes = MAX_BYTES

    def entry(self, body: str) -> Entry:
        return {"MessageBody": body}

    def show(self, entry: Entry) -> str:
        return entry["MessageBody"]

    def connect(self, settings: Settings) -> tuple[str, ...]:
        session = operator_aws.session(settings.sqs_region)
        with aws.explained():
            self._client: SQSClient = session.client("sqs")
        return self.name, self._client.meta.endpoint_url

    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        batch: Any = [{"Id": str(at), **entry} for at, entry in enumerate(entries)]
        with operator_aws.asking(f"send to {self.name}"):
            answer = self._client.send_message_batch(QueueUrl=self.name, Entries=batch)
        return failures(answer)


class BusTarget(Target):
    """Of the body go `type` or `detail-type`, `source` and `detail`; the bus makes the envelope.

    `name` is the bus's name or ARN; an ARN has its region, too.
    """

    # EventBridge documents "less than 256 KB".
    most_bytes = 262_143

    def entry(self, body: str) -> Entry:
        """A trace_id beside the detail goes into it: the envelope has no place for it."""
        try:
            event: Any = json.loads(body)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("detail"), dict):
            raise InvalidEvent("a bus takes only an object with a detail that is an object")
        source, kind = string(event, "source"), string(event, "detail-type", "type")
        if source is None or kind is None:
            missing = "source" if source is None else "type or detail-type"
            raise InvalidEvent(f"a bus needs a {missing}, and the event has none")
        traced = {key: event[key] for key in ("trace_id", "traceparent") if key in event}
        return {
            "EventBusName": self.name,
            "Source": source,
            "DetailType": kind,
            "Detail": json.dumps(traced | event["detail"]),
        }

    def show(self, entry: Entry) -> str:
        return json.dumps(dict(entry))

    def connect(self, settings: Settings) -> tuple[str, ...]:
        region = self.name.split(":")[3] if self.name.startswith("arn:") else settings.aws_region
        session = operator_aws.session(region)
        with aws.explained():
            self._client: EventBridgeClient = session.client("events")
        return (self._client.meta.endpoint_url,)

    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        batch: Any = entries
        with operator_aws.asking(f"put events on {self.name}"):
            answer = self._client.put_events(Entries=batch)
        return {
            position: BatchFailure(code, code not in _PASSING, one.get("ErrorMessage", ""))
            for position, one in enumerate(answer["Entries"])
            if (code := one.get("ErrorCode"))
        }
