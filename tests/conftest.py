"""For all tests: an interrupt reaches the processes that they start."""

import os
import signal
from collections.abc import Iterator

import pytest

# A shell that starts us in the background ignores SIGINT, and our children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def unmeasured() -> Iterator[None]:
    """The processes that a module starts run without coverage, which doubles their CPU time.

    For modules whose processes run only code that other tests measure.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COV")]:
            patch.delenv(name)
        yield
