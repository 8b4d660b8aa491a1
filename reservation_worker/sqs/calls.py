"""Calls of SQS by boto3, whose errors become SqsError."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError

from reservation_worker.errors import SqsError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import plain
from reservation_worker.sqs.clients import RenewedClients
from reservation_worker.sqs.credentials import text_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")


class _Clients(NamedTuple):
    receiver: "SQSClient"
    control: "SQSClient"


class SqsCalls:
    """Two clients, shared by all threads: one for receives, one for all other calls.

    They are separate because botocore has one retry quota for each client, and because it must not
    retry a receive: the messages of the lost answer would be hidden until they time out.
    The constructor raises ConfigurationError for AWS_* variables that boto3 can't work with;
    credentials may come later.
    """

    def __init__(
        self, region: str, receiver: Config, control: Config, endpoint_url: str | None
    ) -> None:
        def make() -> _Clients:
            session = aws.session(region, control, unattended=True)
            return _Clients(
                session.client("sqs", endpoint_url=endpoint_url, config=receiver),
                session.client("sqs", endpoint_url=endpoint_url, config=control),
            )

        self._clients = RenewedClients(make, _close)
        self._clients.open()

    def receiver(self, use: "Callable[[SQSClient], T]") -> T:
        """The result of `use` with the client for receives. Raises SqsError."""
        return self._call(lambda clients: use(clients.receiver))

    def control(self, use: "Callable[[SQSClient], T]") -> T:
        """The result of `use` with the client for all other calls. Raises SqsError."""
        return self._call(lambda clients: use(clients.control))

    def close(self) -> None:
        """Close the connections; further calls raise SqsError."""
        self._clients.close()

    def _call(self, use: Callable[[_Clients], T]) -> T:
        try:
            return self._clients.call(use)
        except ClientError as error:
            details = error.response.get("Error", {})
            raise SqsError(plain(details.get("Code")), str(error)) from error
        except aws.ERRORS as error:
            raise SqsError(type(error).__name__, text_of(error)) from error


def _close(clients: _Clients) -> None:
    for client in clients:
        client.close()
