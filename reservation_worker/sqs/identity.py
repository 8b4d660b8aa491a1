"""Which queue is meant, by its ARN, or by a URL, which may be spelt in several ways."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_URL = re.compile(r"[a-z]+://(?:.*@)?(?P<host>[^/?#@]*)(?P<path>[^?#]*).*", re.IGNORECASE)
_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)"
# Today's hosts (FIPS, dual-stack and VPC endpoints alike), and the legacy ones.
_HOSTS = (
    re.compile(rf"(?:.*\.)?sqs(?:-fips)?\.{_REGION}\..*"),
    re.compile(rf"(?:.*\.)?{_REGION}\.queue\..*"),
)
_FIRST_HOST = re.compile(r"(?:.*\.)?queue\.amazonaws\.com(?::[0-9]+)?")
"""The legacy host of us-east-1, which does not name its region."""


FIFO = (
    "the worker gives messages back out of order and sends dead letters without a group, which"
    " a FIFO queue does not take"
)
"""Why a FIFO queue is refused; the end of a sentence."""


@dataclass(frozen=True, slots=True)
class QueueIdentity:
    """A queue's name, account and region; None: not known."""

    name: str
    account: str | None = None
    region: str | None = None

    @classmethod
    def of_arn(cls, arn: str) -> Self:
        """From arn:aws:sqs:<region>:<account>:<name>."""
        region, account, name = arn.split(":")[-3:]
        return cls(name, account or None, region or None)

    @classmethod
    def of_url(cls, url: str) -> Self:
        """From a queue's URL, or its name alone. The URLs of most emulators name no region.

        Otherwise the host does not matter, because boto3 calls its own endpoint.
        """
        match = _URL.fullmatch(url)
        host, path = (match["host"].lower(), match["path"]) if match else ("", url)
        parts = [part for part in path.split("/") if part]
        name = parts[-1] if parts else ""
        account = parts[-2] if len(parts) > 1 and parts[-2].isdigit() else None
        region = "us-east-1" if _FIRST_HOST.fullmatch(host) else None
        for pattern in _HOSTS:
            if found := pattern.fullmatch(host):
                region = found["region"]
        if region is None and account and re.fullmatch(_REGION, parts[-3] if parts[2:] else ""):
            region = parts[-3]  # LocalStack's form: /queue/<region>/<account>/<name>
        return cls(name, account, region)

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue: only their names end in .fifo."""
        return self.name.endswith(".fifo")

    def same_as(self, other: "QueueIdentity") -> bool:
        """Whether both are one queue, as far as both are known."""
        pairs = ((self.account, other.account), (self.region, other.region))
        known = all(one is None or two is None or one == two for one, two in pairs)
        return self.name == other.name and known


def identity(url: str, attributes: Mapping[Any, str]) -> QueueIdentity:
    """The queue at `url`, by the ARN in its attributes, else by the URL."""
    arn = attributes.get("QueueArn")
    return QueueIdentity.of_arn(arn) if arn else QueueIdentity.of_url(url)


def same_queue(one: str, other: str) -> bool:
    """Whether two URLs, or a URL and a queue's name, may mean the same queue."""
    return QueueIdentity.of_url(one).same_as(QueueIdentity.of_url(other))
