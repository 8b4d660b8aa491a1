"""HTTP of the operators' verbs: one call in a bounded time, no proxies, no redirects."""

import ssl
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

from reservation_worker import __version__
from reservation_worker.clients.http_answer import MAX_BODY, Answer
from reservation_worker.errors import OperationError
from reservation_worker.servers.listening import local_url

T = TypeVar("T")

TIMEOUT = 3.0
"""The longest wait for a whole answer, in seconds, unless a caller sets another."""
_CHUNK = 64 * 1024


def base_url(host: str, port: int) -> str:
    """The URL at which a worker that listens on `host` (SERVER_HOST) is reached from its machine.

    Raises OperationError for port 0: only the worker's log says which port it got.
    """
    if port == 0:
        raise OperationError("SERVER_PORT is 0, any free port: name the worker's URL")
    return local_url(host, port)


def get(url: str, timeout: float = TIMEOUT, headers: dict[str, str] | None = None) -> Answer:
    """The answer to one GET. Raises OperationError when there is no whole one in `timeout` s."""
    return _ask("GET", url, timeout, headers=headers)


def post_json(url: str, value: Any) -> Answer:
    """The answer to one POST. Raises OperationError when there is no whole one in TIMEOUT s."""
    return _ask("POST", url, TIMEOUT, json=value)


def within(seconds: float, work: Callable[[], T]) -> T:
    """The value or error of `work`. Raises TimeoutError after `seconds`; `work` then goes on."""
    result: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def do() -> None:
        try:
            result.put((work(), None))
        except Exception as error:
            result.put((None, error))

    threading.Thread(target=do, name="bounded", daemon=True).start()
    try:
        value, error = result.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


class _SystemTrust(HTTPAdapter):
    """Trusts the certificate authorities that the worker trusts: the system's, not certifi's."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Adds nothing to the context, which demands a certificate already."""


def _ask(method: str, url: str, timeout: float, **content: Any) -> Answer:
    def call() -> Answer:
        with requests.Session() as session:
            # Neither proxies nor credentials come from the environment.
            session.trust_env = False
            session.headers["User-Agent"] = f"reservation-worker/{__version__}"
            if url.lower().startswith("https://"):
                session.mount("https://", _SystemTrust())
            with session.request(
                method, url, timeout=timeout, allow_redirects=False, stream=True, **content
            ) as response:
                body = b""
                for chunk in response.iter_content(_CHUNK):
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise OperationError(f"{url} answers with more than {MAX_BODY} bytes")
                challenge = response.headers.get("WWW-Authenticate", "")
                return Answer(response.status_code, body, 0.0, challenge)

    try:
        # requests bounds each wait, not the whole call: a server may send a byte now and then.
        return within(timeout, call)
    except (requests.RequestException, TimeoutError) as error:
        raise OperationError(f"{url} does not answer: {_why(error, timeout)}") from error


def _why(error: Exception, timeout: float) -> str:
    """The first cause: requests' own sentence is its urllib3 error, which wraps the system's."""
    chain: list[BaseException] = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    if any(isinstance(one, TimeoutError | requests.Timeout) for one in chain):
        return f"nothing whole came within {timeout:g} s"
    return " ".join(str(chain[-1]).split())[:200]
