"""The texts that the redactor hides and those that it leaves alone."""

import pytest

from reservation_worker.config.redaction import Redactor

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalr/XUtn+FEMI=",
    "AWS_SESSION_TOKEN": "first-half\nother-half",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/creds?token=query-token",
    "AWS_ENDPOINT_URL_SQS": "http://operator:half/rest@127.0.0.1:4566",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20otlp-token,x-key=plain-key",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "broken header-token",
    "HTTPS_PROXY": "proxy-user:proxy-password@proxy:3128",
    "all_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
    "SECRET_NAME": "traffictacos/reservation-worker",
    "POD_NAME": "reservation-worker-1",
}


@pytest.mark.parametrize(
    "secret",
    [
        "wJalr/XUtn+FEMI=", "first-half", "other-half", "container-token", "query-token",
        "half/rest", "operator", "Bearer otlp-token", "Bearer%20otlp-token", "otlp-token",
        "plain-key", "header-token", "proxy-password",
    ],
)  # fmt: skip
def test_a_secret_of_the_environment_is_hidden_wherever_it_is(secret: str) -> None:
    shown = Redactor(ENVIRON)(f"it failed: <{secret}>, {secret!r} and x{secret}y")
    assert secret not in shown
    assert shown.count("***") == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@host/path", "http://***@host/path"),
        ('to "https://u:p/a@ss@host:1": no', 'to "https://***@host:1": no'),
        ("x-amz-security-token:FwoGZX/abc+=\nhost:x", "x-amz-security-token:***\nhost:x"),
        ("X-Amz-Security-Token=FwoGZX&X-Amz-Date=1", "X-Amz-Security-Token=***&X-Amz-Date=1"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': ***'}"),
        ("authorization: Basic dXNlcg==", "authorization: ***"),
        ("Proxy-Authorization: Basic dXNlcg==", "Proxy-Authorization: ***"),
        ("SignedHeaders=host, Signature=5d67", "SignedHeaders=host, Signature=***"),
    ],
)
def test_text_that_looks_like_a_credential_is_hidden_even_if_unknown(text: str, shown: str) -> None:
    assert Redactor({})(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "settled",
        "inventory-svc ReleaseHold: UNAVAILABLE: failed to connect to all addresses",
        'Could not connect to the endpoint URL: "http://127.0.0.1:9/"',
        "mail somebody@example.com, or see https://example.com/a?b=c",
        "AccessDenied: arn:aws:sqs:ap-northeast-2:137406935518:reservation-events",
        "the secret traffictacos/reservation-worker of reservation-worker-1 at localhost",
        "The request signature we calculated does not match the signature you provided",
    ],
)
def test_all_other_text_is_left_unchanged(text: str) -> None:
    assert Redactor(ENVIRON)(text) == text
    assert Redactor({})(text) == text


def test_a_value_too_short_to_be_a_secret_hides_nothing() -> None:
    hide = Redactor({"AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "", "x_proxy": "a:b@c"})
    assert hide("a test of c") == "a test of c"


@pytest.mark.parametrize("text", ["/" * 1_000_000, "//@ " * 250_000, "authorization:" * 70_000])
def test_no_text_makes_it_slow(text: str) -> None:
    # In time that grows with the square of the length this would take hours.
    assert Redactor(ENVIRON)(text)
