"""Hides secrets in text that people read, because a library's error may quote its input.

Two rules: values that the process was started with are hidden wherever they occur; credentials that
came later (IRSA's change hourly) are found by their place in URLs and in signed requests.
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar
from urllib.parse import unquote

HIDDEN = "***"
# Shorter values are hardly secrets, and hiding them would hide half the text.
_SHORTEST = 6

_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)
_HEADERS = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS")
_URLS = re.compile(r"AWS_ENDPOINT_URL\w*|AWS_CONTAINER_CREDENTIALS_FULL_URI|\w+_(?i:proxy)")

_WORD = re.compile(r"\S+")
# AWS quotes the request it expected when it refuses a signature.
_SIGNED = re.compile(
    r"(?i)((?:x-amz-security-token|proxy-authorization|authorization|signature)"
    r"['\"]?\s*[:=]\s*)(?:['\"]?(?:bearer|basic|aws4-hmac-sha256)\s+)?[^\s,;&'\"<]+"
)


_BEGINNING = 16
"""Leading characters that identify a token, because an error may quote only a part."""


class Redactor:
    """Hides the secrets of `environ`, those added by `hide`, and text that looks like one."""

    _later: ClassVar[tuple[re.Pattern[str], ...]] = ()

    def __init__(self, environ: Mapping[str, str]) -> None:
        known = {text for text in _secrets_of(environ) if len(text) >= _SHORTEST}
        # The longest first, because one secret may contain another.
        self._known = re.compile(
            "|".join(re.escape(text) for text in sorted(known, key=len, reverse=True)) or r"(?!)"
        )

    def __call__(self, text: str) -> str:
        """`text` with each secret as ***."""
        for secret in (self._known, *self._later):
            text = secret.sub(HIDDEN, text)
        text = hide_userinfo(text)
        # Only for speed: every log line comes through here.
        return _SIGNED.sub(rf"\g<1>{HIDDEN}", text) if ":" in text or "=" in text else text


def hide(token: str) -> None:
    """Hide `token` from now on in the text of every Redactor; the last eight are remembered."""
    if len(token) < _SHORTEST:
        return
    pattern = re.escape(token)
    if len(token) > _BEGINNING:
        pattern += rf"|{re.escape(token[:_BEGINNING])}[A-Za-z0-9._~+/=-]*"
    others = [known for known in Redactor._later if known.pattern != pattern]
    Redactor._later = (*others[-7:], re.compile(pattern))


def hide_userinfo(text: str) -> str:
    """`text` with user and password of each URL as ***."""
    return _WORD.sub(_without_userinfo, text) if "//" in text and "@" in text else text


def _without_userinfo(word: re.Match[str]) -> str:
    # A single expression would never end on a field of a million slashes.
    before, slashes, rest = word[0].partition("//")
    # Up to the last @, so that a password with a / or an @ in it is covered too.
    _, at, host = rest.rpartition("@")
    return f"{before}{slashes}{HIDDEN}@{host}" if at else word[0]


def _secrets_of(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if name in _SECRETS:
            yield from _pieces(value)
        elif _HEADERS.fullmatch(name):
            for header in value.split(","):
                key, _, secret = header.partition("=")
                # Without a = the SDK calls the header invalid and quotes all of it.
                yield from _pieces(unquote(secret or key))
                yield from _pieces(secret or key)
        elif _URLS.fullmatch(name):
            before, at, _ = value.rpartition("@")
            if at:
                userinfo = before.partition("//")[2] or before
                yield userinfo
                yield userinfo.partition(":")[2]
                # An error may quote only the part of an unescaped password that a parser read.
                yield from re.split(r"[\s:/?#@]+", userinfo)
            query = value.partition("?")[2]
            yield from (query, *(pair.partition("=")[2] for pair in query.split("&")))


def _pieces(value: str) -> Iterator[str]:
    """A value, and its lines: a message may show a line break escaped."""
    yield value.strip()
    yield from re.split(r"[\s\x00-\x1f]+", value)
