"""Emulators of SQS, credentials that they accept, and no settings from outside."""

import logging
import os
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from reservation_worker.simulator.processes.sqs import EXTERNAL_SQS, SqsProcess
from tests.contract.elasticmq import ElasticMq


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    with SqsProcess() as process:
        yield process.url


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def elasticmq() -> Iterator[str]:
    with ElasticMq() as process:
        yield process.url


@pytest.fixture(scope="module")
def external() -> str:
    return os.environ[EXTERNAL_SQS]
