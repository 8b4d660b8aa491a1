"""The circuit breaker of one neighbour: a state machine that limits the messages in flight."""

import threading
from collections import deque
from collections.abc import Callable
from enum import IntEnum

from reservation_worker.errors import BreakerOpen

WINDOW = 10.0
"""The failed share is taken over so many seconds."""
MIN_CALLS = 20
FAILED_SHARE = 0.5
ROW = 10
"""So many failures in a row open the breaker ..."""
ROW_MESSAGES = 5
"""... if at least so many different messages had them."""
FIRST_OPEN = 5.0
LONGEST_OPEN = 30.0
JITTER = 0.1
"""An open time varies by up to this share, so that pods do not come back in step."""
RAMP = 20
"""So many good calls while half-open close the breaker."""
QUIET = 10.0
"""Half-open for so many seconds without a failed call closes it, too."""
REMEMBERED = 1000
"""So many messages that reopened it are remembered."""


class State(IntEnum):
    """The numbers are the values of the metric worker_breaker_state."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Counts the calls of one neighbour; the rules are in docs/contract.md#breaker.

    Closed: calls pass. Open: calls are refused with BreakerOpen and nothing is polled; when the
    time is over a probe that touches no message is due. Half-open: one message may be in flight,
    and one more for each good call (slow start) or message that needed no call; RAMP good calls
    close it, or QUIET seconds without a failed one. Until it closes, each message can reopen it
    once: later failures of the same message may be the message's own.

    `clock` gives monotonic seconds, `random` numbers in [0, 1). `on_change` is called, outside
    the lock, with the new state.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float],
        random: Callable[[], float],
        on_change: Callable[[str, State], None] = lambda name, state: None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._random = random
        self._on_change = on_change
        self._lock = threading.Lock()
        self._state = State.CLOSED
        # Calls that began before the last change of state do not count in the present one.
        self._generation = 0
        self._open_for = FIRST_OPEN
        self._open_until = 0.0
        self._spared = 0
        self._reopened_by: deque[str] = deque(maxlen=REMEMBERED)
        self._reset_counts()

    @property
    def state(self) -> State:
        """The present state. An open breaker stays open until a probe succeeds."""
        return self._state

    def limit(self) -> int | None:
        """How many messages may be in flight: None is no limit, 0 is a pause."""
        with self._lock:
            closes = self._state is State.HALF_OPEN and self._clock() >= self._quiet_since + QUIET
            if closes:
                self._close()
            limit = self._limit()
        if closes:
            self._on_change(self.name, State.CLOSED)
        return limit

    def _limit(self) -> int | None:
        if self._state is State.CLOSED:
            return None
        return 0 if self._state is State.OPEN else 1 + self._good + self._spared

    def spare(self) -> None:
        """Note a message that ended without a failed call: half-open, one more may be in flight."""
        if self._state is State.HALF_OPEN:
            with self._lock:
                self._spared = min(self._spared + 1, RAMP)

    def remaining(self) -> float:
        """Seconds until the next probe; 0 unless open."""
        with self._lock:
            return self._remaining()

    def admit(self) -> int:
        """Admit one call; returns a ticket for `record`. Raises BreakerOpen while open."""
        with self._lock:
            if self._state is State.OPEN:
                raise BreakerOpen(self.name, self._remaining())
            return self._generation

    def record(self, ticket: int, message_id: str, ok: bool) -> None:
        """Record the end of an admitted call. Not `ok` is a failure of the neighbour."""
        with self._lock:
            if ticket != self._generation:
                return
            before = self._state
            if before is State.CLOSED:
                self._record_closed(message_id, ok)
            else:
                self._record_half_open(message_id, ok)
            after = self._state
        if after is not before:
            self._on_change(self.name, after)

    def probe_due(self) -> bool:
        """Whether the open time is over, so that the neighbour may be probed."""
        with self._lock:
            return self._state is State.OPEN and self._remaining() == 0.0

    def probed(self, ok: bool) -> None:
        """Record the result of the probe that was due."""
        with self._lock:
            if self._state is not State.OPEN:
                return
            if ok:
                self._enter(State.HALF_OPEN)
            else:
                self._open()
        if ok:
            self._on_change(self.name, State.HALF_OPEN)

    def _record_closed(self, message_id: str, ok: bool) -> None:
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        while self._seconds[0][0] <= second - WINDOW:
            self._seconds.popleft()
        self._seconds[-1][1] += 1
        if ok:
            self._row = 0
            self._row_messages.clear()
            return
        self._seconds[-1][2] += 1
        self._row += 1
        if len(self._row_messages) < ROW_MESSAGES:
            self._row_messages.add(message_id)
        calls = sum(entry[1] for entry in self._seconds)
        failed = sum(entry[2] for entry in self._seconds)
        if (calls >= MIN_CALLS and failed >= calls * FAILED_SHARE) or (
            self._row >= ROW and len(self._row_messages) >= ROW_MESSAGES
        ):
            self._open()

    def _record_half_open(self, message_id: str, ok: bool) -> None:
        if ok:
            self._good += 1
            if self._good >= RAMP:
                self._close()
            return
        self._quiet_since = self._clock()
        # Otherwise a message that always fails and always comes first would keep it open.
        if message_id in self._reopened_by:
            return
        self._bad += 1
        # The first call decides alone; later a rare failure does not stop the recovery.
        if self._bad >= (self._good + self._bad) * FAILED_SHARE:
            self._reopened_by.append(message_id)
            self._open()

    def _open(self) -> None:
        varied = self._open_for * (1 - JITTER + 2 * JITTER * self._random())
        self._open_until = self._clock() + varied
        self._open_for = min(self._open_for * 2, LONGEST_OPEN)
        self._enter(State.OPEN)

    def _close(self) -> None:
        self._open_for = FIRST_OPEN
        self._reopened_by.clear()
        self._enter(State.CLOSED)

    def _enter(self, state: State) -> None:
        self._state = state
        self._generation += 1
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self._row = 0
        self._row_messages: set[str] = set()
        self._good = 0
        self._bad = 0
        self._spared = 0
        self._quiet_since = self._clock()

    def _remaining(self) -> float:
        if self._state is not State.OPEN:
            return 0.0
        return max(0.0, self._open_until - self._clock())
