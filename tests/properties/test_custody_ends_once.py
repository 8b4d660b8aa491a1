"""Whatever the order in which handler, stop and SQS answer: custody ends once, and truthfully."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from reservation_worker.pipeline.custody import Custody, Ending
from reservation_worker.pipeline.leases import Lease
from tests.fake_queue import FakeClock, FakeQueue, opened

LEASE = 60.0
ANSWERS = ["yes", "gone", "refused"]
EVENTS = ["handler ends", "stop gives back", "delete answers", "visibility answers", "lease ends"]


class Message:
    """One delivery under all its possible events, in any order; `truth` is SQS's state."""

    def __init__(self, outcome: str, delete: str, visibility: str) -> None:
        self.clock = FakeClock()
        self.custody = Custody(self.clock)
        queue = FakeQueue()
        queue.send()
        self.deadline = self.clock() + LEASE
        self.delivery = opened(queue.receive(1, 0)[0], self.deadline, Lease)
        self.custody.take([self.delivery])
        self.outcome = outcome
        self.answers = {"delete": delete, "visibility": visibility}
        self.asked: set[str] = set()
        self.early: list[str] = []
        self.carriers = 0
        self.truth: list[Ending] = []

    def happen(self, event: str) -> None:
        match event:
            case "handler ends" if self.outcome == "ack":
                self.custody.claim(self.delivery)
                self._ask("delete")
            case "handler ends" if self.outcome == "bug":
                self.custody.leave(self.delivery)
            case "handler ends" | "stop gives back":
                if self.clock() < self.deadline and self.custody.claim(self.delivery):
                    self.carriers += 1
                    self._ask("visibility")
            case "delete answers":
                self._answer("delete", Ending.DELETED)
            case "visibility answers":
                self._answer("visibility", Ending.GIVEN_BACK)
            case "lease ends":
                self.clock.advance(LEASE)

    def _ask(self, call: str) -> None:
        self.asked.add(call)
        if call in self.early:
            self._answer(call, Ending.DELETED if call == "delete" else Ending.GIVEN_BACK)

    def _answer(self, call: str, ending: Ending) -> None:
        if call not in self.asked:
            self.early.append(call)  # it answers as soon as it is asked
            return
        answer = self.answers[call]
        if answer == "refused":
            self.custody.leave(self.delivery)
            return
        moved = self.custody.end(self.delivery, ending if answer == "yes" else Ending.LOST)
        # A lease that is over needs no ending any more.
        over = self.clock() >= self.deadline
        assert moved == (not self.truth) or over, "custody ended twice, or not at all"
        if moved:
            self.truth.append(ending)


@given(
    order=st.sampled_from(list(permutations(EVENTS))),
    outcome=st.sampled_from(["ack", "retry", "bug"]),
    delete=st.sampled_from(ANSWERS),
    visibility=st.sampled_from(ANSWERS),
)
def test_a_message_is_open_until_an_ending_is_proved_or_its_lease_is_over(
    order: tuple[str, ...], outcome: str, delete: str, visibility: str
) -> None:
    message = Message(outcome, delete, visibility)
    assert message.custody.open() == 1
    for event in order:
        message.happen(event)
        over = message.clock() >= message.deadline
        assert message.custody.open() == (not over and not message.truth)
    assert message.carriers <= 1, "two carried an outcome out"
    assert message.custody.endings.total() == min(len(message.truth), 1)
    assert not message.custody.claim(message.delivery) or not message.asked
