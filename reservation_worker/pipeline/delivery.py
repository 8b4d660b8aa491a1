"""One delivery of one message on its way through the pipeline."""

from dataclasses import dataclass

from reservation_worker.events.parse import Event, Ignored, parse
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.queue import Message


@dataclass(slots=True, eq=False)
class Delivery:
    """A message, its parsed body, and its lease. Times are monotonic seconds.

    The content is an InvalidEvent if the body is invalid; any other exception is a bug of ours.
    """

    message: Message
    content: Event | Ignored | Exception
    lease: Lease
    received_at: float
    started_at: float | None = None

    def elapsed(self, now: float, at_delivery: float | None) -> float | None:
        """Seconds by `now` since a time that was `at_delivery` seconds ago when it came."""
        return None if at_delivery is None else at_delivery + now - self.received_at

    @property
    def key(self) -> str:
        """The reservation's id, else the message's: two with one key are never handled at once."""
        if isinstance(self.content, Exception):
            return f"message {self.message.id}"
        return self.content.reservation_id

    @property
    def urgent(self) -> bool:
        """Whether it goes before the others, because a customer who paid is waiting."""
        return isinstance(self.content, Event) and self.content.kind.value.money_taken

    @property
    def label(self) -> str:
        """The value of the metrics' labels `type` and `handler`."""
        return self.content.kind.label if isinstance(self.content, Event) else "unknown"

    @property
    def event_type(self) -> str:
        """The canonical type, "unknown" if there is no event."""
        return self.content.kind.event_type if isinstance(self.content, Event) else "unknown"


def open_delivery(message: Message, received_at: float, lease: Lease) -> Delivery:
    """Parse a message. Returns for any body, so that a bad one affects no other message."""
    attributes = {
        name: str(value["StringValue"])
        for name, value in message.attributes.items()
        if "StringValue" in value
    }
    content: Event | Ignored | Exception
    try:
        content = parse(message.body, attributes)
    except Exception as error:
        content = error
    return Delivery(message, content, lease, received_at)
