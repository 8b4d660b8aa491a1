"""The routes of the status page and of its JSON."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from flask import Blueprint, Response, jsonify

_FILES = resources.files("reservation_worker.status")
_PAGE = "page.html"


def make_pages(document: Callable[[], Mapping[str, Any]], config: Mapping[str, Any]) -> Blueprint:
    """`/` and `/api/v1/`: `document` is called for each request of the status.

    Raises OSError when the package was installed without its files.
    """
    pages = Blueprint("pages", __name__)
    html = _FILES.joinpath(_PAGE).read_text("utf-8")
    policy = _policy(html)

    @pages.get("/")
    def page() -> Response:
        answer = Response(html, content_type="text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = policy
        return answer

    @pages.get("/api/v1/status")
    def status() -> Response:
        return jsonify(document())

    @pages.get("/api/v1/config")
    def settings() -> Response:
        return jsonify(config)

    @pages.after_request
    def set_privacy_headers(answer: Response) -> Response:
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    return pages


def _policy(html: str) -> str:
    """The page runs and shows its own content only, and connects to its own server only."""
    rules = ["default-src 'none'", "connect-src 'self'", "img-src data:"]
    rules += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    for tag in ("style", "script"):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.S)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        rules.append(f"{tag}-src 'sha256-{digest}'")
    return "; ".join(rules)
