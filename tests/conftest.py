"""For all tests: an interrupt reaches the processes that they start."""

import signal

# A shell that starts us in the background ignores SIGINT, and our children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
