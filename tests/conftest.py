"""For all tests: an interrupt reaches the processes that they start."""

import signal

# A shell that starts us in the background has it ignored, and so would all our children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
