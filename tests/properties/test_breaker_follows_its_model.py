"""The breaker against a second, simpler model of the contract's rules (docs/contract.md#breaker).

The model keeps every call there ever was and counts anew each time. Time moves by whole seconds,
since by those the breaker counts its window; hence both must agree exactly.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reservation_worker.errors import BreakerOpen
from reservation_worker.resilience.breaker import Breaker, State


@dataclass
class Model:
    """The contract's rules, computed from the whole history."""

    state: State = State.CLOSED
    epoch: int = 0  # how many changes of state there were
    opened: int = 0  # how often in a row it opened without closing
    until: float = 0.0
    entered: float = 0.0  # when it became half-open
    reopened_by: set[str] = field(default_factory=set)  # since it was last closed
    calls: list[tuple[float, str, bool]] = field(default_factory=list)  # of this epoch

    def enter(self, state: State) -> None:
        self.state = state
        if state is State.CLOSED:
            self.reopened_by = set()
        self.epoch += 1
        self.calls = []

    def open(self, now: float, dice: float) -> None:
        self.until = now + min(5 * 2**self.opened, 30) * (0.9 + 0.2 * dice)
        self.opened += 1
        self.enter(State.OPEN)

    def look(self, now: float) -> None:
        """Half-open without a failed call for ten seconds: closed."""
        failed = [at for at, _, ok in self.calls if not ok]
        if self.state is State.HALF_OPEN and now - max([self.entered, *failed]) >= 10:
            self.opened = 0
            self.enter(State.CLOSED)

    def record(self, now: float, dice: float, message: str, ok: bool) -> None:
        self.calls.append((now, message, ok))
        oks = [call[2] for call in self.calls]
        if self.state is State.HALF_OPEN:
            told = [good for _, who, good in self.calls if good or who not in self.reopened_by]
            if oks.count(True) == 20:
                self.opened = 0
                self.enter(State.CLOSED)
            elif (
                not ok and message not in self.reopened_by and told.count(False) >= told.count(True)
            ):
                self.reopened_by.add(message)
                self.open(now, dice)
        elif not ok:
            recent = [good for at, _, good in self.calls if now - at < 10]
            good_at = max((n for n, good in enumerate(oks) if good), default=-1)
            row = [message for _, message, _ in self.calls[good_at + 1 :]]
            if (len(recent) >= 20 and recent.count(False) * 2 >= len(recent)) or (
                len(row) >= 10 and len(set(row)) >= 5
            ):
                self.open(now, dice)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, their (late) ends, probes and time passing."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.dice = 100.0, 0.5
        self.model = Model()
        self.changes: list[State] = []
        self.expected_changes: list[State] = []
        self.in_flight: list[tuple[int, int]] = []  # the breaker's ticket, the model's epoch
        self.breaker = self.make(lambda name, state: self.changes.append(state))

    def make(self, on_change) -> Breaker:  # type: ignore[no-untyped-def]
        return Breaker("b", lambda: self.now, lambda: self.dice, on_change)

    @rule(seconds=st.sampled_from([0, 1, 5, 9, 10]), dice=st.floats(0, 1, exclude_max=True))
    def pass_time(self, seconds: int, dice: float) -> None:
        self.now += seconds
        self.dice = dice

    @rule()
    def begin_call(self) -> None:
        if self.model.state is State.OPEN:
            with pytest.raises(BreakerOpen) as refused:
                self.breaker.admit()
            assert refused.value.retry_after == pytest.approx(max(0, self.model.until - self.now))
        else:
            self.in_flight.append((self.breaker.admit(), self.model.epoch))

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(0), message=st.integers(0, 7), ok=st.booleans())
    def end_call(self, which: int, message: int, ok: bool) -> None:
        ticket, epoch = self.in_flight.pop(which % len(self.in_flight))
        self.breaker.record(ticket, str(message), ok)
        if epoch == self.model.epoch:
            self._model_records(message, ok)

    @rule(messages=st.integers(1, 7), times=st.integers(1, 12), ok=st.booleans())
    def make_calls_alike(self, messages: int, times: int, ok: bool) -> None:
        """Runs of one result: else neither a row of ten nor twenty calls would ever come up."""
        for number in range(times):
            if self.model.state is State.OPEN:
                return
            message = number % messages
            self.breaker.record(self.breaker.admit(), str(message), ok)
            self._model_records(message, ok)

    @rule(ok=st.booleans())
    def probe_when_due(self, ok: bool) -> None:
        due = self.model.state is State.OPEN and self.now >= self.model.until
        assert self.breaker.probe_due() == due
        if due:
            self._probe(ok)

    @precondition(lambda self: self.model.state is State.OPEN)
    @rule(ok=st.booleans())
    def wait_and_probe(self, ok: bool) -> None:
        """Straight to the end of the open time: else half-open would hardly ever come up."""
        while self.now < self.model.until:
            self.now += 1
        self._probe(ok)

    def _probe(self, ok: bool) -> None:
        self.breaker.probed(ok=ok)
        if ok:
            self.model.enter(State.HALF_OPEN)
            self.model.entered = self.now
            self.expected_changes.append(State.HALF_OPEN)
        else:
            self.model.open(self.now, self.dice)

    def _model_records(self, message: int, ok: bool) -> None:
        before = self.model.state
        self.model.record(self.now, self.dice, str(message), ok)
        if self.model.state is not before:
            self.expected_changes.append(self.model.state)

    @invariant()
    def both_say_the_same(self) -> None:
        limit = self.breaker.limit()
        before = self.model.state
        self.model.look(self.now)
        if self.model.state is not before:
            self.expected_changes.append(self.model.state)
        assert self.breaker.state is self.model.state
        assert self.changes == self.expected_changes
        good = sum(ok for _, _, ok in self.model.calls)
        expected = {State.CLOSED: None, State.OPEN: 0, State.HALF_OPEN: 1 + good}
        assert limit == expected[self.model.state]
        rest = max(0, self.model.until - self.now) if self.model.state is State.OPEN else 0
        assert self.breaker.remaining() == pytest.approx(rest)


BreakerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class TestTheBreakerFollowsItsModel(BreakerMachine.TestCase):  # type: ignore[misc,name-defined]
    """Hypothesis's own test case; it shrinks a disagreement to the shortest story."""


def test_a_breaker_that_forgets_to_ignore_stale_tickets_is_caught() -> None:
    class Forgetful(Breaker):
        def record(self, ticket: int, message_id: str, ok: bool) -> None:
            if self.state is not State.OPEN:
                super().record(self._generation, message_id, ok)

    class Machine(BreakerMachine):
        def make(self, on_change) -> Breaker:  # type: ignore[no-untyped-def]
            return Forgetful("b", lambda: self.now, lambda: self.dice, on_change)

    from hypothesis import Phase
    from hypothesis.stateful import run_state_machine_as_test

    quick = settings(
        max_examples=2000,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=quick)
