"""No secret is in the values that are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reservation_worker.config.settings import Settings
from reservation_worker.errors import ConfigurationError
from tests.unit.config.example import QUEUE, patient, settings


def test_values_from_the_secret_are_never_shown() -> None:
    made = Settings.from_mapping({"SQS_QUEUE_URL": QUEUE}, {"SQS_QUEUE_URL": "secret"})
    assert made.redacted()["SQS_QUEUE_URL"] == "***"
    assert "123456789012" not in repr(made)
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_mapping({"SQS_QUEUE_URL": "hunter2"}, {"SQS_QUEUE_URL": "secret"})
    assert "hunter2" not in str(caught.value)
    assert "in the secret" in str(caught.value)


WITH_PASSWORD = [
    ("SQS_QUEUE_URL", "https://user:hunter2@host/1/q", "https://***@host/1/q"),
    ("SQS_QUEUE_URL", "https://user:p@hunter2@host/1/q", "https://***@host/1/q"),
    ("RESERVATION_API_BASE", "http://hunter2@host", "http://***@host"),
    ("RESERVATION_API_BASE", "http://user:x/hunter2@host", "http://***@host"),
    ("RESERVATION_API_BASE", "http://user:x?hunter2@host", "http://***@host"),
    ("RESERVATION_API_BASE", "http://host/?token=hunter2", "http://host/?***"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "user:hunter2@host:4317", "***@host:4317"),
    ("INVENTORY_GRPC_ADDR", "user:hunter2@host:8021", "***@host:8021"),
    ("MAX_RETRIES", "http://user:hunter2@host", "http://***@host"),
]


@pytest.mark.parametrize(("name", "text", "shown"), WITH_PASSWORD)
def test_a_password_in_a_url_is_never_shown(name: str, text: str, shown: str) -> None:
    try:
        made = settings(**{name: text})
    except ConfigurationError as error:
        output = str(error)
    else:
        output = repr(made) + str(made.redacted())
    assert "hunter2" not in output
    assert repr(shown) in output


def test_the_values_that_redacted_shows_parse_to_the_same_settings() -> None:
    made = settings(CALL_TIMEOUT="0.00001", SERVER_HOST="0.0.0.0", SECRET_NAME="v1.0")
    assert Settings.from_mapping(made.redacted()) == made


@patient
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_no_shape_of_password_is_ever_shown(noise: str) -> None:
    text = f"https://user:{noise}hunter2{noise}@host/1/q"
    try:
        output = repr(settings(SQS_QUEUE_URL=text))
    except ConfigurationError as error:
        output = str(error)
    assert "hunter2" not in output
