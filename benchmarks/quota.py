"""A share of a CPU, by control groups, as Kubernetes sets a pod's limit."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

PERIOD = 100_000
"""The period in microseconds, the same as Kubernetes'."""
_V1 = Path("/sys/fs/cgroup/cpu")
_V2 = Path("/sys/fs/cgroup")


class QuotaError(Exception):
    """No quota can be set on this machine; the text says why."""


class CpuQuota:
    """A group that may use this many CPUs; `close` it when its processes have ended."""

    def __init__(self, cpus: float) -> None:
        """Raises QuotaError."""
        version2 = (_V2 / "cgroup.controllers").exists()
        self._group = (_V2 if version2 else _V1) / f"bench-{os.getpid()}-{time.monotonic_ns()}"
        share = round(cpus * PERIOD)
        try:
            self._group.mkdir()
            if version2:
                (self._group / "cpu.max").write_text(f"{share} {PERIOD}")
            else:
                (self._group / "cpu.cfs_period_us").write_text(str(PERIOD))
                (self._group / "cpu.cfs_quota_us").write_text(str(share))
        except OSError as error:
            self.close()
            raise QuotaError(f"no CPU quota on this machine: {error}") from error

    def command(self, command: Sequence[str]) -> list[str]:
        """The command, joining the group before anything of it runs."""
        join = 'echo $$ > "$0" && exec "$@"'
        return ["/bin/sh", "-c", join, str(self._group / "cgroup.procs"), *command]

    def close(self) -> None:
        """Remove the group."""
        if self._group.is_dir():
            self._group.rmdir()
