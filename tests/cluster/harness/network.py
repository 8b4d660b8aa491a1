"""A network namespace for the cluster: nothing of it is reachable from outside, nor reaches out."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

HOST = "10.244.0.1"
"""The bridge's address: where pods find whatever runs outside of pods."""
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments: str) -> None:
    """Run `ip`. Raises CalledProcessError."""
    subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)


class Network:
    """While entered, this thread and all that it starts are in the namespace.

    The kernel removes it with its last process.
    """

    def __enter__(self) -> Self:
        self._outside = _namespace()
        _checked(_libc.unshare(_CLONE_NEWNET))
        self._inside = _namespace()
        ip("link", "set", "lo", "up")
        ip("link", "add", "br0", "type", "bridge")
        ip("address", "add", f"{HOST}/16", "dev", "br0")
        ip("link", "set", "br0", "up")
        return self

    def __exit__(self, *error: object) -> None:
        _enter(self._outside)
        os.close(self._inside)
        os.close(self._outside)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """This thread is back in the machine's own network meanwhile."""
        _enter(self._outside)
        try:
            yield
        finally:
            _enter(self._inside)


class PodNetwork:
    """A pod's namespace with `address` on the bridge. `hosts` are the names that it can resolve."""

    def __init__(self, number: int, hosts: dict[str, str]) -> None:
        self.address = f"10.244.{1 + number // 250}.{1 + number % 250}"
        self.name = f"cluster-{os.getpid()}-{number}"
        link = f"pod{number}"
        # `ip netns exec` shows these files in place of those in /etc.
        self._etc = f"/etc/netns/{self.name}"
        os.makedirs(self._etc)
        self.hosts = f"{self._etc}/hosts"
        with open(self.hosts, "w") as file:
            lines = {"localhost": "127.0.0.1", **hosts}
            file.writelines(f"{address} {name}\n" for name, address in lines.items())
        ip("netns", "add", self.name)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", link, "master", "br0", "up")
        for line in (f"addr add {self.address}/16 dev eth0", "link set eth0 up", "link set lo up"):
            ip("-n", self.name, *line.split())

    def close(self) -> None:
        """Remove it; its processes must have ended."""
        ip("netns", "delete", self.name)
        os.unlink(self.hosts)
        os.rmdir(self._etc)


def _namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(namespace: int) -> None:
    _checked(_libc.setns(namespace, _CLONE_NEWNET))


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
