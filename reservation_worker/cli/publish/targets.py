"""Where events go: a queue by SendMessageBatch, or a bus by PutEvents. One entry is one event."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.envelopes import string
from reservation_worker.sqs.batches import MAX_BYTES, BatchFailure, failures

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

    from reservation_worker.config.settings import Settings

Entry = Mapping[str, str]

# The codes that AWS calls retryable for PutEvents.
_PASSING = frozenset({"InternalFailure", "ThrottlingException"})


class Target(Protocol):
    """`name` is for people; `most_bytes` is the limit of a call and of an entry."""

    @property
    def name(self) -> str: ...

    @property
    def most_bytes(self) -> int: ...

    def entry(self, body: str) -> Entry:
        """The entry for `body`. Raises InvalidEvent if there can be none."""
        ...

    def size(self, entry: Entry) -> int:
        """Its weight against `most_bytes`."""
        ...

    def show(self, entry: Entry) -> str:
        """The entry as one line of JSON."""
        ...

    def connect(self, settings: "Settings") -> None:
        """Make the client. Raises ConfigurationError."""
        ...

    @property
    def urls(self) -> tuple[str, ...]:
        """The queue's URL, if any, and the endpoint that the connected client calls.

        AWS_ENDPOINT_URL may name another host than the queue's URL.
        """
        ...

    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        """One call; the failures by position. Raises OperationError when all of it failed."""
        ...


class QueueTarget:
    """The body is the message; it has no attributes."""

    most_bytes = MAX_BYTES

    def __init__(self, url: str) -> None:
        self.name = url

    def entry(self, body: str) -> Entry:
        """See Target."""
        return {"MessageBody": body}

    def size(self, entry: Entry) -> int:
        """See Target."""
        return len(entry["MessageBody"].encode())

    def show(self, entry: Entry) -> str:
        """See Target."""
        return entry["MessageBody"]

    def connect(self, settings: "Settings") -> None:
        """See Target."""
        from reservation_worker.cli import operator_aws  # noqa: PLC0415
        from reservation_worker.sqs import session as aws  # noqa: PLC0415

        session = operator_aws.session(settings.sqs_region)
        with aws.explained():
            self._client: SQSClient = session.client("sqs")

    @property
    def urls(self) -> tuple[str, ...]:
        """See Target."""
        return self.name, self._client.meta.endpoint_url

    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        """See Target."""
        from reservation_worker.cli import operator_aws  # noqa: PLC0415

        with operator_aws.asking(f"send to {self.name}"):
            answer = self._client.send_message_batch(
                QueueUrl=self.name,
                Entries=[
                    {"Id": str(position), "MessageBody": entry["MessageBody"]}
                    for position, entry in enumerate(entries)
                ],
            )
        return failures(answer)


class BusTarget:
    """Of the body go `type` or `detail-type`, `source` and `detail`; the bus makes the envelope.

    `bus` is a name or an ARN; an ARN has its region, too.
    """

    # EventBridge documents "less than 256 KB".
    most_bytes = 262_143

    def __init__(self, bus: str) -> None:
        self.name = bus

    def entry(self, body: str) -> Entry:
        """See Target. A trace_id beside the detail goes into it: the envelope has no place."""
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

    def size(self, entry: Entry) -> int:
        """See Target; counted as EventBridge does."""
        return sum(len(text.encode()) for name, text in entry.items() if name != "EventBusName")

    def show(self, entry: Entry) -> str:
        """See Target."""
        return json.dumps(dict(entry))

    def connect(self, settings: "Settings") -> None:
        """See Target."""
        from reservation_worker.cli import operator_aws  # noqa: PLC0415
        from reservation_worker.sqs import session as aws  # noqa: PLC0415

        region = self.name.split(":")[3] if self.name.startswith("arn:") else settings.aws_region
        session = operator_aws.session(region)
        with aws.explained():
            self._client: EventBridgeClient = session.client("events")

    @property
    def urls(self) -> tuple[str, ...]:
        """See Target."""
        return (self._client.meta.endpoint_url,)

    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        """See Target."""
        from reservation_worker.cli import operator_aws  # noqa: PLC0415

        with operator_aws.asking(f"put events on {self.name}"):
            answer = self._client.put_events(Entries=[dict(entry) for entry in entries])  # type: ignore[misc]
        if not answer["FailedEntryCount"]:
            return {}
        return {
            position: BatchFailure(code, code not in _PASSING, one.get("ErrorMessage", ""))
            for position, one in enumerate(answer["Entries"])
            if (code := one.get("ErrorCode"))
        }
