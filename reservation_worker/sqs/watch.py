"""Thread: reads the queue's attributes every minute, because people change them."""

import threading
from collections.abc import Callable, Sequence

from loguru import logger

from reservation_worker.errors import ConfigurationError, SqsError
from reservation_worker.sqs.facts import QueueFacts, refusals

EVERY = 60.0
"""The pause after the attributes were read, in seconds."""
AGAIN = 5.0
"""The pause after they could not be read, in seconds."""


class AttributeWatch:
    """Keeps `facts` up to date: the attributes as they were read last.

    Until they can be read they are QueueFacts(), whose visibility is the shortest sensible lease.
    The watch's thread calls `on_change` with new facts. `misfits` returns a sentence for each
    attribute that does not fit the worker; each is logged once when it appears.
    """

    def __init__(
        self,
        describe: Callable[[], QueueFacts],
        misfits: Callable[[QueueFacts], Sequence[str]],
        every: float = EVERY,
        again: float = AGAIN,
    ) -> None:
        self.facts = QueueFacts()
        self.on_change: Callable[[QueueFacts], None] = lambda facts: None
        self._describe = describe
        self._misfits = misfits
        self._every = every
        self._again = again
        self._pause = again
        self._warned: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attributes", daemon=True)

    def first_look(self) -> None:
        """Read the attributes, or work without them for now.

        Raises ConfigurationError for a queue that the worker must not work on.
        """
        self.look()
        if problems := refusals(self.facts):
            raise ConfigurationError(problems)

    def start(self) -> None:
        """Start reading, with the pause that is due after the first look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading, without waiting for an answer; safe before start and twice."""
        self._stop.set()

    def look(self) -> float:
        """Read the attributes once; returns after how many seconds to look again."""
        try:
            facts = self._describe()
        except SqsError as error:
            if error.code not in self._warned:
                self._warned.add(error.code)
                logger.warning(
                    "the queue's attributes can't be read, its visibility timeout is taken to be"
                    " {} s: {}",
                    self.facts.visibility,
                    error,
                )
            self._pause = self._again
            return self._pause
        self._pause = self._every
        wrong = [*refusals(facts), *self._misfits(facts)]
        for sentence in wrong:
            if sentence not in self._warned:
                logger.warning("the queue does not fit: {}", sentence)
        self._warned = set(wrong)
        if facts != self.facts:
            self.facts = facts
            self.on_change(facts)
        return self._pause

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.look()
            except Exception:
                logger.exception("reading the queue's attributes failed; the thread goes on")
