"""A container's limits of CPU and memory, by either version of the kernel's control groups."""

import logging
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_PERIOD = 100_000
log = logging.getLogger("cluster")


def cores(text: str) -> float:
    """Kubernetes' quantity of CPU: "500m" is half a core."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def size(text: str) -> int:
    """Kubernetes' quantity of memory in bytes: "256Mi"."""
    return int(text[:-2]) * _UNITS[text[-2:]] if text[-2:] in _UNITS else int(text)


class Cgroup:
    """A group NAME with limits. Where this kernel or container allows none it has no `folders`."""

    def __init__(self, name: str, cpu: str, memory: str) -> None:
        self._name = name
        quota, most = int(_PERIOD * cores(cpu)), size(memory)
        self.folders: list[Path] = []
        self._peak: Path | None = None
        try:
            if (ROOT / "cgroup.controllers").exists():
                self._peak = self._make(ROOT / name, "memory.max", most) / "memory.peak"
                self._make(ROOT / name, "cpu.max", f"{quota} {_PERIOD}")
            else:
                self._make(ROOT / "cpu" / name, "cpu.cfs_quota_us", quota)
                folder = self._make(ROOT / "memory" / name, "memory.limit_in_bytes", most)
                self._peak = folder / "memory.max_usage_in_bytes"
        except OSError as error:
            log.warning("no limits of CPU and memory: %s", error)
            self.close()
            self.folders, self._peak = [], None

    def _make(self, folder: Path, file: str, value: object) -> Path:
        folder.mkdir(exist_ok=True)
        if folder not in self.folders:
            self.folders.append(folder)
        (folder / file).write_text(str(value))
        return folder

    def peak(self) -> int:
        """Bytes of memory that the group had at most; 0 if nothing counts them."""
        return int(self._peak.read_text()) if self._peak and self._peak.exists() else 0

    def close(self) -> None:
        """Remove it and what podman made in it; its processes must have ended."""
        for folder in (*ROOT.glob(self._name), *ROOT.glob(f"*/{self._name}")):
            for inner in (*sorted(folder.rglob("*/"), reverse=True), folder):
                with suppress(OSError):
                    inner.rmdir()
