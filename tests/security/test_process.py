"""The worker as a container runs it: two ports, no file, no child, under any user."""

import os
import re
import signal
import struct
from collections import defaultdict
from ipaddress import ip_address
from pathlib import Path

from reservation_worker.simulator.processes.ports import free_port
from reservation_worker.simulator.processes.worker import WorkerProcess
from tests.world import World, until

LISTENING = "0A"


def addresses(pid: int) -> dict[int, set[str]]:
    """The TCP ports that a process listens on, with their addresses."""
    links = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    inodes = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
    found: defaultdict[int, set[str]] = defaultdict(set)
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                address, _, port = fields[1].rpartition(":")
                # Words of 32 bits, each in the machine's own order.
                raw = b"".join(
                    struct.pack("=I", int(address[at : at + 8], 16))
                    for at in range(0, len(address), 8)
                )
                listened = ip_address(raw)
                found[int(port, 16)].add(str(getattr(listened, "ipv4_mapped", None) or listened))
    return dict(found)


def writable_files(pid: int) -> set[str]:
    """The regular files that a process has open for writing."""
    found = set()
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        flags = int(re.findall(r"flags:\s*(\d+)", entry.read_text())[0], 8)
        path = os.readlink(f"/proc/{pid}/fd/{entry.name}")
        if flags & (os.O_WRONLY | os.O_RDWR) and path.startswith("/") and path != os.devnull:
            found.add(path)
    return found


def children(worker: WorkerProcess) -> str:
    tasks = Path(f"/proc/{worker.pid}/task").iterdir()
    return "".join((task / "children").read_text() for task in tasks)


def test_a_worker_at_work_has_two_ports_open_writes_no_file_and_starts_no_process() -> None:
    with World() as world:
        ids = world.seed(50)
        # As in a read-only container, because Python's caches would be files, too.
        worker = world.run_worker(
            PYTHONDONTWRITEBYTECODE="1", SERVER_HOST="::", GRPC_DEBUG_PORT=str(free_port())
        )
        world.expire(ids)
        until(world.empty, 60, "every event is settled")
        worker.metrics()
        assert addresses(worker.pid) == {
            int(worker.env["SERVER_PORT"]): {"::"},
            int(worker.env["GRPC_DEBUG_PORT"]): {"127.0.0.1"},
        }
        assert writable_files(worker.pid) == {str(worker.stdout), str(worker.stderr)}
        assert children(worker) == ""
        worker.signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        # Its working directory, HOME and TMPDIR.
        assert list((worker.directory / "worker.cwd").iterdir()) == []
