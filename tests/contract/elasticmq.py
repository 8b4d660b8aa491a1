"""ElasticMQ, an SQS emulator on the JVM, fetched once by Maven and run as a child process."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.processes.ports import free_port
from reservation_worker.simulator.sqs.emulator import REGION
from tests.deploy.tools import lacking, need

VERSION = "1.6.12"
# Maven's strict mode (-C) refuses a file whose checksum is not the registry's.
_POM = f"""<project><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>elasticmq</artifactId><version>1</version>
<packaging>pom</packaging>
<dependencies><dependency><groupId>org.elasticmq</groupId>
<artifactId>elasticmq-server_2.13</artifactId><version>{VERSION}</version>
</dependency></dependencies></project>"""
_CONFIG = """include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port}, sqs-limits = strict }}
rest-stats {{ enabled = false }}
aws {{ region = "{region}", accountId = "000000000000" }}
"""


def jars() -> Path:
    """The directory of its jars, outside the tree; skips the test if they can't be fetched."""
    need("java")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    wanted = caches / "reservation-worker" / f"elasticmq-{VERSION}"
    if not wanted.exists():
        need("mvn")
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wanted.parent) as made:
            pom, into = Path(made, "pom.xml"), Path(made, "jars")
            pom.write_text(_POM)
            command = ["mvn", "-q", "-B", "-C", "-f", str(pom), "dependency:copy-dependencies"]
            ended = subprocess.run(
                [*command, f"-DoutputDirectory={into}"], capture_output=True, text=True, check=False
            )
            if ended.returncode != 0:
                lacking(f"Maven could not fetch ElasticMQ: {ended.stdout[-500:]}")
            # In one step, so that an interrupted run leaves nothing half-fetched.
            shutil.move(into, wanted)
    return wanted


class ElasticMq(Child):
    """A server on a free loopback port, with its queues in memory."""

    name = "elasticmq"

    def __init__(self) -> None:
        classes = jars() / "*"
        super().__init__([])
        self.port = free_port()
        config = self.directory / "elasticmq.conf"
        config.write_text(_CONFIG.format(port=self.port, region=REGION))
        options = ["-Xmx256m", f"-Dconfig.file={config}", "-cp", str(classes)]
        self.command = ["java", *options, "org.elasticmq.server.Main"]

    @property
    def url(self) -> str:
        """The endpoint, for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def _up(self) -> None:
        self.until(lambda: " started in " in self.stdout.read_text(), 60, "started")
