"""Reads an HTTP/1 answer from a connection's bytes, by llhttp (docs/adr/0008-httptools.md)."""

from dataclasses import dataclass

from httptools import HttpParserError, HttpResponseParser
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

MAX_BODY = 1024 * 1024
"""The largest body that is read, in bytes; the usual one has a few hundred."""
MAX_HEAD = 64 * 1024
"""No more is read before a head is complete, in bytes; interim answers before it count, too."""
MAX_ANSWER = 8 * 1024 * 1024
"""The most bytes of an answer on the wire: the framing of chunks and trailers included."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the Retry-After header in seconds (0: absent or unreadable).

    `challenge` is the WWW-Authenticate header.
    """

    status: int
    body: bytes
    retry_after: float
    challenge: str = ""


class FinalAnswer:
    """The answer that llhttp finds in what it is fed; interim ones before it are skipped.

    httptools calls the methods `on_...`.
    """

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._status = self._received = 0
        self._in_body = self.complete = self.keeps_connection = False

    def feed(self, data: bytes) -> None:
        """Read on; no data is the end of the stream.

        Raises OSError for an answer that breaks off or is too large, HttpParserError and
        HttpParserUpgrade for one that is not HTTP/1.
        """
        if not data:
            self._end()
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.complete:
                # httptools hides what a method of ours said.
                raise HttpParserError(error.__context__ or error) from error
            self.keeps_connection = False  # the fault is in what follows the answer
        self._received += len(data)
        if len(self._body) > MAX_BODY:
            raise ConnectionAbortedError(f"an answer larger than {MAX_BODY} bytes")
        if self._received > (MAX_ANSWER if self._in_body else MAX_HEAD):
            part = "an answer" if self._in_body else "the head of an answer"
            raise ConnectionAbortedError(f"{part} larger than allowed")

    def _end(self) -> None:
        # Only a body without a length ends with the stream.
        if not self._in_body or {b"content-length", b"transfer-encoding"} & self._headers.keys():
            raise ConnectionResetError("the answer broke off")
        self.complete = True

    def forget_parser(self) -> None:
        """Free it: it refers to this object, so only the garbage collector would."""
        del self._parser

    def read(self) -> Answer:
        """The complete answer."""
        retry_after = self._headers.get(b"retry-after")
        return Answer(
            self._status,
            bytes(self._body),
            _retry_after(retry_after.decode("latin-1")) if retry_after else 0.0,
            self._headers.get(b"www-authenticate", b"").decode("latin-1"),
        )

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("a second answer")  # ends feed_data

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # otherwise it is a trailer
            self._headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        if self._parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("another version of HTTP")
        self._status = self._parser.get_status_code()
        self._in_body = self._status >= 200

    def on_body(self, data: bytes) -> None:
        if not self._in_body:
            raise ValueError("an interim answer with a body")
        self._body += data

    def on_message_complete(self) -> None:
        if self._in_body:
            self.complete = True
            self.keeps_connection = self._parser.should_keep_alive()
        else:
            self._headers.clear()


def _retry_after(value: str) -> float:
    try:
        return float(Retry().parse_retry_after(value))
    except (InvalidHeader, OverflowError, ValueError):
        return 0.0
