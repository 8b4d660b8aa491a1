"""HTTP as bytes on a socket, for requests that no library would send."""

import socket
from contextlib import suppress

import requests

from tests.integration.test_health_server import Rig

PROBE_TIMEOUT = 5.0
"""Seconds that a generous kubelet waits for a probe."""
HOST = "Host: x\r\n"
SECOND = f"GET /metrics HTTP/1.1\r\n{HOST}\r\n"


def read_all(client: socket.socket) -> bytes:
    """Everything until the server closes, which it must."""
    answer = b""
    # Bytes that it leaves unread make the kernel reset the connection, at times before we have
    # read.
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            answer += part
    return answer


def ask(rig: Rig, raw: str) -> bytes:
    with rig.connect(raw.encode("latin-1")) as client:
        return read_all(client)


def probes_answer(base: str) -> None:
    """As the kubelet probes: a new connection for each probe, and a timeout."""
    for path in ("/health", "/ready"):
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(base + path, timeout=PROBE_TIMEOUT)
        assert answer.status_code == 200
