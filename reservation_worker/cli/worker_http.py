"""HTTP to a running worker: one GET in a bounded time, no proxies, no redirects."""

import ipaddress
from urllib.parse import urlsplit

from urllib3.exceptions import NewConnectionError
from urllib3.exceptions import TimeoutError as HttpTimeoutError

from reservation_worker.clients.http import Answer, HttpTransport
from reservation_worker.errors import OperationError, TransientError

TIMEOUT = 3.0
"""The longest wait for a whole answer, in seconds."""


def base_url(host: str, port: int) -> str:
    """Where a worker that listens on `host` (SERVER_HOST) is reached from its own machine.

    Raises OperationError for port 0: which one it is only its log says.
    """
    if port == 0:
        raise OperationError("SERVER_PORT is 0, any free port: name the worker's URL")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{shown}:{port}"


def get(url: str) -> Answer:
    """The answer to one GET. Raises OperationError when there is none within TIMEOUT."""
    return _ask("GET", url, None)


def post_json(url: str, body: bytes) -> Answer:
    """The answer to one POST; likewise."""
    return _ask("POST", url, body)


def _ask(method: str, url: str, body: bytes | None) -> Answer:
    parts = urlsplit(url)
    transport = HttpTransport(f"{parts.scheme}://{parts.netloc}", 1)
    headers = {} if body is None else {"Content-Type": "application/json"}
    try:
        return transport.request(method, parts.path or "/", TIMEOUT, headers, body)
    except TransientError as error:
        raise OperationError(f"{url} does not answer: {_why(error)}") from error
    finally:
        transport.close()


def _why(error: TransientError) -> str:
    cause = error.__cause__
    # To urllib3 a refused connection is a timeout, too.
    refused = isinstance(cause, NewConnectionError)
    if isinstance(cause, TimeoutError | HttpTimeoutError) and not refused:
        return f"nothing whole came within {TIMEOUT:g} s"
    # urllib3's own sentence ends with the operating system's words.
    return " ".join(str(cause or error).rpartition("): ")[2].split())[:200]
