"""The command line. Its modules use signals and file descriptors that Windows does not have."""

import sys

if sys.platform == "win32":
    raise SystemExit(
        "reservation-worker runs on Linux, and on macOS for development. On Windows use WSL 2"
        " or the container image."
    )
