"""The operators' HTTP: its requests and its reading of answers."""

from typing import Any

import pytest
import requests
import responses
from responses import RequestsMock, matchers

from reservation_worker import __version__
from reservation_worker.cli import worker_http
from reservation_worker.errors import OperationError

URL = "http://127.0.0.1:8040/health"


@pytest.fixture
def http() -> Any:
    with RequestsMock() as mock:
        yield mock


def test_status_and_body_come_back_whatever_the_status(http: RequestsMock) -> None:
    http.get(URL, status=503, body=b'{"status": "fail"}')
    answer = worker_http.get(URL)
    assert (answer.status, answer.body) == (503, b'{"status": "fail"}')


def test_a_redirect_is_an_answer_and_not_followed(http: RequestsMock) -> None:
    http.get(URL, status=302, headers={"Location": "http://elsewhere.invalid/"})
    assert worker_http.get(URL).status == 302
    assert len(http.calls) == 1


def test_the_environment_adds_neither_a_proxy_nor_credentials(
    http: RequestsMock, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    bounds = {"timeout": 1.5, "proxies": {}}
    http.get(URL, match=[matchers.request_kwargs_matcher(bounds)])
    worker_http.get(URL, 1.5)
    headers = http.calls[0].request.headers
    assert "Authorization" not in headers
    assert headers["User-Agent"] == f"reservation-worker/{__version__}"


def test_a_post_sends_json(http: RequestsMock) -> None:
    http.post(
        URL,
        match=[
            matchers.header_matcher({"Content-Type": "application/json"}),
            matchers.json_params_matcher({"reservations": []}),
        ],
    )
    assert worker_http.post_json(URL, {"reservations": []}).status == 200


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (requests.ConnectTimeout("connect"), "nothing whole came within 3 s"),
        (requests.ReadTimeout("read"), "nothing whole came within 3 s"),
        (requests.ConnectionError("Connection\nreset"), "Connection reset"),
        (requests.exceptions.InvalidURL("x" * 500), "x" * 200),
    ],
)
def test_a_call_without_an_answer_is_one_line_with_the_reason(
    http: RequestsMock, error: Exception, text: str
) -> None:
    http.add(responses.GET, URL, body=error)
    with pytest.raises(OperationError) as failed:
        worker_http.get(URL)
    assert str(failed.value) == f"{URL} does not answer: {text}"
