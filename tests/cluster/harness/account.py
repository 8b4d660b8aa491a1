"""The AWS account and the neighbours that a cluster's workers meet, outside of pods."""

from pathlib import Path
from typing import TYPE_CHECKING

from reservation_worker.simulator.processes.child import Child, Loopback
from reservation_worker.simulator.processes.neighbours import NeighboursProcess
from reservation_worker.simulator.processes.sqs import ministack_command
from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.sqs.emulator import REGION, sqs_client
from reservation_worker.simulator.sqs.provision import create_queues
from tests.cluster.harness.network import HOST

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef as Entry

ENDPOINT = f"http://{HOST}:4566"
# As k8s/deploy/production names them: its queue's URL fits without a patch.
ACCOUNT = "137406935518"
QUEUE = "traffic-tacos-reservation-events"


class Sqs(Child):
    """The account's SQS, with the queue and its DLQ. A stop loses them, a start makes them anew."""

    name = "ministack"

    def __init__(self, directory: Path) -> None:
        env = {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": ENDPOINT.rpartition(":")[2],
            "STATE_DIR": f"{directory}/ministack-state",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "LOG_LEVEL": "WARNING",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{directory}/no-docker.sock",
        }
        super().__init__(ministack_command(), env, directory)
        self._http = Loopback()
        self.client: SQSClient = sqs_client(ENDPOINT)

    def _up(self) -> None:
        url = f"{ENDPOINT}/_ministack/health"
        self.until(lambda: self._http.answer("GET", url) is not None, 30, "answered")
        self.queue_url, self.dlq_url = create_queues(self.client, name=QUEUE)

    def put(self, count: int) -> None:
        """Publish `count` messages that only count."""
        for first in range(0, count, 10):
            bodies: list[Entry] = [
                {"Id": str(number), "MessageBody": "{}"} for number in range(min(10, count - first))
            ]
            self.client.send_message_batch(QueueUrl=self.queue_url, Entries=bodies)

    def depth(self) -> int:
        """Messages that are visible or in flight."""
        answer = self.client.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        found = answer["Attributes"]
        visible = found["ApproximateNumberOfMessages"]
        return int(visible) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def purge(self) -> None:
        """Empty the queue and its DLQ."""
        for url in (self.queue_url, self.dlq_url):
            self.client.purge_queue(QueueUrl=url)


class Neighbours(NeighboursProcess):
    """Both neighbours on the ports that the worker asks by default."""

    def __init__(self, directory: Path, latency_ms: float) -> None:
        super().__init__(latency_ms, latency_ms / 8, directory)
        ports = ("--inventory-port=8021", "--reservation-port=8010", "--control-port=8099")
        self.command += [f"--host={HOST}", *ports]

    @property
    def control_base(self) -> str:
        """The control app's URL."""
        return f"http://{HOST}:8099"


class Account(Stack):
    """The queue and the neighbours of one test, for publishing and reconciling."""

    def __init__(self, sqs: Sqs, neighbours: Neighbours) -> None:
        super().__init__()
        self.client, self.neighbours = sqs.client, neighbours
        self.queue_url, self.dlq_url = sqs.queue_url, sqs.dlq_url
