"""A WSGI application of fixed paths, each answered by GET and HEAD; all else is refused in JSON.

Flask would add 6 MB to each worker: its templates, sessions and command line are imported with it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from loguru import logger

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page answers."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Headers = ()


Page = Callable[[WSGIEnvironment], Answer]


def as_json(value: object, status: int = 200, headers: Headers = ()) -> Answer:
    """`value` in JSON."""
    return Answer(json.dumps(value).encode() + b"\n", "application/json", status, headers)


class WebApp:
    """Serves `pages` by path. An error of a page is logged; its client learns nothing of it."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = pages

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._answer(environ)
        status = HTTPStatus(answer.status)
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        path = environ["PATH_INFO"]
        page = self.pages.get(path)
        if page is None:
            return as_json({"error": "not found; try /health, /ready or /metrics"}, 404)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return as_json({"error": "method not allowed"}, 405, (("Allow", "GET, HEAD"),))
        try:
            return page(environ)
        except Exception:
            logger.exception("the page {} failed", path)
            return as_json({"error": "internal server error"}, 500)
