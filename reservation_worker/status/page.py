"""The status page and its JSON."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from reservation_worker.web import Answer, Page, as_json

_FILES = resources.files("reservation_worker.status")
_PAGE = "page.html"
_PRIVATE = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


def make_pages(
    document: Callable[[], Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[str, Page]:
    """`/` and `/api/v1/`: `document` is called for each request of the status.

    Raises OSError when the package was installed without its files.
    """
    html = _FILES.joinpath(_PAGE).read_text("utf-8")
    headers = (("Content-Security-Policy", _policy(html)), *_PRIVATE)
    page = Answer(html.encode(), "text/html; charset=utf-8", headers=headers)
    return {
        "/": lambda environ: page,
        "/api/v1/status": lambda environ: as_json(document(), headers=_PRIVATE),
        "/api/v1/config": lambda environ: as_json(config, headers=_PRIVATE),
    }


def _policy(html: str) -> str:
    """The page runs and shows its own content only, and connects to its own server only."""
    rules = ["default-src 'none'", "connect-src 'self'", "img-src data:"]
    rules += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    for tag in ("style", "script"):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.S)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        rules.append(f"{tag}-src 'sha256-{digest}'")
    return "; ".join(rules)
