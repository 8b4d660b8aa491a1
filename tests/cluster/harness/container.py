"""What a pod's container can be: nothing at all, a process of the checkout, or the image."""

import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.cluster.harness.api import Json
from tests.cluster.harness.cgroup import Cgroup, cores, size
from tests.cluster.harness.network import HOST, PodNetwork

ROOT = Path(__file__).parents[3]
_SEEN = "/srv"
"""Where the worker finds the checkout."""
# The names that the worker's defaults use; the neighbours run outside of pods.
HOSTS = {"reservation-api": HOST, "inventory-svc": HOST}


@dataclass(frozen=True)
class Order:
    """What is to run: a container of the pod's spec, its environment looked up."""

    pod: str
    number: int
    container: Json
    user: int
    env: dict[str, str]
    log: Path


class Container(ABC):
    """Runs from its making on."""

    address: str
    peak = 0
    """Bytes of memory at most; known once it is closed."""

    @abstractmethod
    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send it a signal."""

    @abstractmethod
    def answers(self, port: int, path: str, timeout: float) -> bool:
        """Whether an HTTP probe of it succeeds."""

    @abstractmethod
    def close(self) -> None:
        """Tidy up after it has ended; kill it if it has not."""


Runtime = Callable[[Order], Container]


class FakeContainer(Container):
    """Starts and stops in the time that a worker takes, and is good for counting pods."""

    start, stop = 3.0, 1.0

    def __init__(self, order: Order) -> None:
        self.address = f"10.244.{1 + order.number // 250}.{1 + order.number % 250}"
        self._started, self._stopped = time.monotonic(), 0.0

    def ended(self) -> int | None:
        over = self._stopped and time.monotonic() - self._stopped >= self.stop
        return 0 if over else None

    def signal(self, number: int) -> None:
        self._stopped = self._stopped or time.monotonic()

    def answers(self, port: int, path: str, timeout: float) -> bool:
        return time.monotonic() - self._started >= self.start

    def close(self) -> None:
        pass


class ProcessContainer(Container):
    """The checkout's worker, as the container's user, without capabilities, in its limits.

    It has a network of its own. Its root file system is the machine's, read-only.
    """

    def __init__(self, order: Order) -> None:
        limits = order.container["resources"]["limits"]
        self._network = PodNetwork(order.number, HOSTS)
        self.address = self._network.address
        self._cgroup = Cgroup(self._network.name, limits["cpu"], limits["memory"])
        self._http = requests.Session()
        self._http.trust_env = False
        with order.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(order),
                env=self._environment(order),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self, order: Order) -> list[str]:
        joins = "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in self._cgroup.folders)
        # `ip netns exec` gives it mounts of its own, too. The checkout's parents may be closed to
        # the container's user.
        mounts = f'mount --bind {ROOT} {_SEEN} && mount -o remount,bind,ro / && exec "$@"'
        return [
            *("sh", "-c", f'{joins}exec "$@"', "sh"),
            *("ip", "netns", "exec", self._network.name, "sh", "-c", mounts, "sh"),
            *("setpriv", f"--reuid={order.user}", f"--regid={order.user}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
            *(_seen(sys.executable), "-m", "reservation_worker", "run"),
        ]

    def _environment(self, order: Order) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONPATH": _SEEN}
        return own | {"PYTHONDONTWRITEBYTECODE": "1"} | order.env

    def ended(self) -> int | None:
        return self._process.poll()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def answers(self, port: int, path: str, timeout: float) -> bool:
        try:
            answer = self._http.get(f"http://{self.address}:{port}{path}", timeout=timeout)
        except requests.RequestException:
            return False
        return answer.status_code < 400

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.peak = self._cgroup.peak()
        self._cgroup.close()
        self._network.close()


def _seen(path: str) -> str:
    """Where the worker finds the file at `path`."""
    return path.replace(f"{ROOT}/", f"{_SEEN}/", 1) if path.startswith(f"{ROOT}/") else path


class ImageContainer(ProcessContainer):
    """The project's image in a container of podman's, under the pod's security context."""

    image = ""

    def _command(self, order: Order) -> list[str]:
        context = order.container["securityContext"]
        limits = order.container["resources"]["limits"]
        # Its peak is its parent's.
        self._name = self._network.name
        command = ["podman", "run", "--rm", "--runtime=runc", "--cgroup-manager=cgroupfs"]
        command += [f"--name={self._name}", f"--cgroup-parent=/{self._name}"]
        command += [f"--memory={size(limits['memory'])}", f"--cpus={cores(limits['cpu'])}"]
        command += [f"--network=ns:/run/netns/{self._name}", f"--hostname={order.pod}"]
        command += [f"--add-host={name}:{address}" for name, address in HOSTS.items()]
        command += [f"--user={order.user}:{order.user}", "--no-healthcheck"]
        command += [f"--cap-drop={name.lower()}" for name in context["capabilities"]["drop"]]
        if context["readOnlyRootFilesystem"]:
            command += ["--read-only"]
        if not context["allowPrivilegeEscalation"]:
            command += ["--security-opt=no-new-privileges"]
        command += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        return [*command, *(f"--env={name}" for name in order.env), self.image]

    def _environment(self, order: Order) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | order.env

    def close(self) -> None:
        subprocess.run(("podman", "rm", "--force", self._name), capture_output=True, check=False)
        super().close()
