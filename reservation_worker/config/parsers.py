"""Parsers of the settings' texts. Each error states the expected form.

A parser takes stripped, non-empty text and raises ValueError with the words that finish the
sentence "it must be ...".
"""

import ipaddress
import math
import re
from collections.abc import Callable

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]*:[^\]]*)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]+))?")
_URL = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^/?#]*)@)?(?P<address>[^/?#@]+)(?P<path>/[^?#]*)?", re.I
)
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# A path that ends with twelve digits is an account without the queue's name.
_QUEUE_PATH = re.compile(r"/(?:.*/)?(?![0-9]{12}$)[A-Za-z0-9_-]{1,80}(?:\.fifo)?")


def must_be(what: str, test: Callable[[str], object]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not test(text):
            raise ValueError(what)
        return text

    return parse


def switch(text: str) -> bool:
    word = text.lower()
    if word not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        raise ValueError("true or false")
    return word in {"true", "1", "yes", "on"}


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # int() alone would also take "1_000" and the digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def seconds(high: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 < number <= high:
            raise ValueError(f"a number of seconds above 0 and up to {high}, such as 10 or 2.5")
        return number

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    test = must_be(" or ".join(words), words.__contains__)
    return lambda text: test(text.lower())


def _is_host(text: str) -> bool:
    if ":" in text or not text.strip("0123456789."):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return "%" not in text  # a zone is valid on one machine only
    return _HOST.fullmatch(text) is not None and ".." not in text


def _is_address(text: str, port_needed: bool = True) -> bool:
    """Whether `text` is host:port or [ipv6]:port (without the port where none is needed)."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not _is_host(match["v6"] or match["name"]):
        return False
    port = match["port"]
    return not port_needed if port is None else len(port) < 6 and 1 <= int(port) <= 65535


def split_url(text: str) -> re.Match[str] | None:
    """The parts of an http(s) URL without query and fragment, or None if it is not one."""
    match = _URL.fullmatch(text) if text.isprintable() and not set(' \\"<>') & set(text) else None
    return match if match and _is_address(match["address"], port_needed=False) else None


def _is_queue(text: str) -> bool:
    url = split_url(text)
    return url is not None and _QUEUE_PATH.fullmatch(url["path"] or "") is not None


def _is_base(text: str) -> bool:
    url = split_url(text)
    # Neither requests nor gRPC may get a user from here; gRPC would dial it as a host name.
    return url is not None and url["user"] is None


text_line = must_be("printable text on one line", str.isprintable)
region = must_be(
    "the name of an AWS region, such as ap-northeast-2",
    re.compile(r"(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch,
)
topic_arn = must_be(
    "an SNS topic's ARN, such as arn:aws:sns:ap-northeast-2:123456789012:customers",
    re.compile(
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?"
    ).fullmatch,
)
host = must_be("a host name or an IP address, such as 0.0.0.0", _is_host)
address = must_be("host:port without http://, such as inventory-svc:8021", _is_address)
queue_url = must_be(
    "a queue's http(s) URL, such as https://sqs.<region>.amazonaws.com/<account>/<queue>", _is_queue
)
_plain_url = must_be(
    "an http(s) URL without user, query or fragment, such as http://reservation-api:8010", _is_base
)
endpoint = must_be(
    "host:port or an http(s) URL without user, query or fragment, such as http://collector:4317",
    lambda text: _is_base(text) or _is_address(text),
)


def base_url(text: str) -> str:
    return _plain_url(text).rstrip("/")


port = whole(0, 65535)
protocol = one_of("grpc")
level = one_of("debug", "info", "warn", "error")
