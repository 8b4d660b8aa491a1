"""The worker as a container runs it: one port, no file, no child, whoever it runs as."""

import os
import re
import signal
from pathlib import Path

from reservation_worker.simulator.process_worker import WorkerProcess
from tests.world import World, until

LISTENING = "0A"


def listening_ports(pid: int) -> set[int]:
    """The TCP ports that a process listens on, by its own open sockets."""
    links = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    inodes = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
    ports = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


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


def test_a_worker_at_work_has_one_port_open_writes_no_file_and_starts_nothing() -> None:
    with World() as world:
        ids = world.seed(50)
        # As a read-only container runs it: Python's own caches would be files, too.
        worker = world.run_worker(PYTHONDONTWRITEBYTECODE="1")
        world.expire(ids)
        until(world.empty, 30, "all is settled")
        worker.metrics()
        assert listening_ports(worker.pid) == {int(worker.env["SERVER_PORT"])}
        assert writable_files(worker.pid) == {str(worker.stdout), str(worker.stderr)}
        assert children(worker) == ""
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        # Its working directory, its HOME and its TMPDIR are this one.
        assert list((worker.directory / "worker.cwd").iterdir()) == []
