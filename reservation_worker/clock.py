"""The clock of leases and holds."""

import time


def awake() -> float:
    """Seconds by a clock that goes on while the machine sleeps, as SQS's own does.

    CLOCK_MONOTONIC stands still while a laptop's lid is closed or a virtual machine is suspended.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
