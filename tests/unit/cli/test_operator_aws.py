"""The errors of boto3 become an OperationError with advice."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from reservation_worker.cli.operator_aws import asking
from reservation_worker.errors import OperationError


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied"}}, "ReceiveMessage"),
        EndpointConnectionError(endpoint_url="http://x"),
        ResponseParserError("Unable to parse response"),
        OSError("no CA bundle"),
        RuntimeError("Credentials were refreshed, but they are still expired."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_boto3_is_explained(error: Exception) -> None:
    with pytest.raises(OperationError, match="could not read the queue"), asking("read the queue"):
        raise error
