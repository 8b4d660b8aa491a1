"""Settings from a mapping: accepted values, refused values, and secrets that are never shown."""

import copy
import dataclasses
import pickle
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from reservation_worker.cli.config import env_example, markdown
from reservation_worker.config.settings import Settings
from reservation_worker.config.variables import VARIABLES
from reservation_worker.errors import ConfigurationError

QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/reservation-events"
NAMES = [variable.name for variable in VARIABLES]
ROOT = Path(__file__).parents[3]


def settings(**values: str) -> Settings:
    return Settings.from_mapping({"SQS_QUEUE_URL": QUEUE, **values})


def problems(**values: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings(**values)
    return caught.value.problems


def test_a_queue_is_all_that_must_be_set() -> None:
    assert settings() == Settings(
        aws_region="ap-northeast-2",
        aws_profile=None,
        use_secret_manager=False,
        secret_name="traffictacos/reservation-worker",
        sqs_queue_url=QUEUE,
        sqs_region="ap-northeast-2",
        sqs_dlq_url=None,
        sqs_wait_time=20,
        worker_concurrency=20,
        worker_one_cpu=True,
        max_retries=5,
        backoff_base_ms=1000,
        call_timeout=10.0,
        inventory_grpc_addr="inventory-svc:8021",
        inventory_grpc_tls=False,
        inventory_key_ttl=300,
        reservation_api_base="http://reservation-api:8010",
        reservation_api_token_file=None,
        ssl_cert_file=None,
        otel_traces_exporter="otlp",
        otel_endpoint=None,
        otel_insecure=True,
        otel_traces_endpoint=None,
        otel_traces_insecure=True,
        otel_protocol="grpc",
        otel_traces_protocol="grpc",
        log_level="info",
        log_format=None,
        server_host="::",
        server_port=8040,
        debug_endpoints=False,
        grpc_debug_host="127.0.0.1",
        grpc_debug_port=8041,
        grpc_debug_allow_write=False,
        notification_topic_arn=None,
        shutdown_timeout=30.0,
        pod_name="unknown",
    )


def test_without_a_queue_the_problem_names_the_variable_to_set() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_mapping({})
    [problem] = caught.value.problems
    assert problem.startswith("SQS_QUEUE_URL is not set: set it to a queue's http(s) URL, such as")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nothing", ["", " ", "\t\n"])
def test_an_empty_value_is_an_unset_one(name: str, nothing: str) -> None:
    if name == "SQS_QUEUE_URL":
        with pytest.raises(ConfigurationError, match="SQS_QUEUE_URL is not set"):
            Settings.from_mapping({name: nothing})
    else:
        assert settings(**{name: nothing}) == settings()


def test_white_space_around_a_value_is_dropped() -> None:
    assert settings(MAX_RETRIES=" 7\n", AWS_REGION="\tus-east-1 ").max_retries == 7


ACCEPTED = [
    ("USE_SECRET_MANAGER", "YES", True),
    ("USE_SECRET_MANAGER", "On", True),
    ("USE_SECRET_MANAGER", "1", True),
    ("USE_SECRET_MANAGER", "True", True),
    ("NOTIFICATION_TOPIC_ARN", "arn:aws:sns:ap-northeast-2:123456789012:t", None),
    ("NOTIFICATION_TOPIC_ARN", "arn:aws-cn:sns:cn-north-1:123456789012:t.fifo", None),
    ("INVENTORY_GRPC_TLS", "no", False),
    ("INVENTORY_GRPC_TLS", "OFF", False),
    ("INVENTORY_GRPC_TLS", "0", False),
    ("INVENTORY_GRPC_TLS", "false", False),
    ("SQS_QUEUE_URL", "http://localhost:4566/000000000000/q", None),
    ("SQS_QUEUE_URL", "https://user:pw@host/1/q", None),
    ("SQS_WAIT_TIME", "0", 0),
    ("SQS_WAIT_TIME", "020", 20),
    ("WORKER_CONCURRENCY", "1000", 1000),
    ("MAX_RETRIES", "0", 0),
    ("BACKOFF_BASE_MS", "900000", 900_000),
    ("CALL_TIMEOUT", "300", 300.0),
    ("CALL_TIMEOUT", ".5", 0.5),
    ("CALL_TIMEOUT", "1e-3", 0.001),
    ("INVENTORY_GRPC_ADDR", "10.0.0.1:1", None),
    ("INVENTORY_GRPC_ADDR", "[::1]:8021", None),
    ("INVENTORY_GRPC_ADDR", "inventory_svc.ns.svc.cluster.local.:65535", None),
    ("RESERVATION_API_BASE", "https://api.example.com/v1/", "https://api.example.com/v1"),
    ("RESERVATION_API_BASE", "HTTP://[::1]:8010//", "HTTP://[::1]:8010"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:4317", None),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.example.com", None),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "host:4317", None),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", "grpc"),
    ("OTEL_TRACES_EXPORTER", "None", "none"),
    ("INVENTORY_KEY_TTL", "0", 0),
    ("INVENTORY_KEY_TTL", "1209600", 1_209_600),
    ("LOG_LEVEL", "WARN", "warn"),
    ("LOG_FORMAT", "JSON", "json"),
    ("SERVER_HOST", "::", None),
    ("SERVER_HOST", "localhost", None),
    ("SERVER_PORT", "0", 0),
    ("GRPC_DEBUG_PORT", "65535", 65535),
    ("AWS_REGION", "us-gov-west-1", None),
    ("AWS_PROFILE", "me@corp", None),
    ("SECRET_NAME", "arn:aws:secretsmanager:ap-northeast-2:1:secret:a/b-1.0", None),
    ("POD_NAME", "worker-7f9-x", None),
]


@pytest.mark.parametrize(("name", "text", "expected"), ACCEPTED)
def test_a_good_value_reaches_its_field(name: str, text: str, expected: object) -> None:
    [variable] = (v for v in VARIABLES if v.name == name)
    value = getattr(settings(**{name: text}), variable.field)
    assert value == (text if expected is None else expected)
    assert type(value) is type(text if expected is None else expected)


REFUSED = [
    ("NOTIFICATION_TOPIC_ARN", "customers"),
    ("NOTIFICATION_TOPIC_ARN", "arn:aws:sqs:ap-northeast-2:123456789012:t"),
    ("NOTIFICATION_TOPIC_ARN", "arn:aws:sns:ap-northeast-2:123456789012:t\n.fifo"),
    ("AWS_REGION", "Seoul!"),
    ("AWS_PROFILE", "a\nb"),
    ("SECRET_NAME", "a\x00b"),
    ("USE_SECRET_MANAGER", "maybe"),
    ("USE_SECRET_MANAGER", "2"),
    ("SQS_QUEUE_URL", "reservation-events"),
    ("SQS_QUEUE_URL", "https://sqs.ap-northeast-2.amazonaws.com"),
    ("SQS_QUEUE_URL", "https://sqs.ap-northeast-2.amazonaws.com/"),
    ("SQS_QUEUE_URL", "https://sqs.ap-northeast-2.amazonaws.com/123456789012"),
    ("SQS_QUEUE_URL", "https://sqs.ap-northeast-2.amazonaws.com/123456789012/"),
    ("SQS_QUEUE_URL", "ftp://host/1/q"),
    ("SQS_QUEUE_URL", "https:///1/q"),
    ("SQS_QUEUE_URL", "arn:aws:sqs:ap-northeast-2:123456789012:q"),
    ("SQS_DLQ_URL", "https://host/1/q?x=1"),
    ("SQS_WAIT_TIME", "21"),
    ("SQS_WAIT_TIME", "-1"),
    ("SQS_WAIT_TIME", "1.5"),
    ("SQS_WAIT_TIME", "20s"),
    ("WORKER_CONCURRENCY", "0"),
    ("WORKER_CONCURRENCY", "1001"),
    ("WORKER_CONCURRENCY", "1_000"),
    ("WORKER_CONCURRENCY", "٣"),
    ("MAX_RETRIES", "+5"),
    ("MAX_RETRIES", "9" * 5000),
    ("BACKOFF_BASE_MS", "0"),
    ("BACKOFF_BASE_MS", "900001"),
    ("CALL_TIMEOUT", "0"),
    ("CALL_TIMEOUT", "inf"),
    ("CALL_TIMEOUT", "nan"),
    ("CALL_TIMEOUT", "1_0"),
    ("CALL_TIMEOUT", "٣"),
    ("CALL_TIMEOUT", "301"),
    ("CALL_TIMEOUT", "1e999"),
    ("SHUTDOWN_TIMEOUT", "0"),
    ("SHUTDOWN_TIMEOUT", "inf"),
    ("INVENTORY_GRPC_ADDR", "inventory-svc"),
    ("INVENTORY_GRPC_ADDR", "http://inventory-svc:8021"),
    ("INVENTORY_GRPC_ADDR", "inventory-svc:0"),
    ("INVENTORY_GRPC_ADDR", "inventory-svc:65536"),
    ("INVENTORY_GRPC_ADDR", "inventory-svc:٣"),
    ("INVENTORY_GRPC_ADDR", ":8021"),
    ("INVENTORY_GRPC_ADDR", "::1:8021"),
    ("INVENTORY_GRPC_ADDR", "[host]:8021"),
    ("INVENTORY_GRPC_ADDR", "300.1.1.1:8021"),
    ("RESERVATION_API_BASE", "reservation-api:8010"),
    ("RESERVATION_API_BASE", "http://"),
    ("RESERVATION_API_BASE", "http://host:"),
    ("RESERVATION_API_BASE", "http://host:port"),
    ("RESERVATION_API_BASE", "http://user@host"),
    ("RESERVATION_API_BASE", "http://host?x"),
    ("RESERVATION_API_BASE", "http://host#x"),
    ("RESERVATION_API_BASE", "http://ho st"),
    ("RESERVATION_API_BASE", "http://host/a\nb"),
    ("RESERVATION_API_BASE", "http://[::1]junk:80"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "host"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://host:4317"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "host"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_TRACES_EXPORTER", "otlp,console"),
    ("INVENTORY_KEY_TTL", "-1"),
    ("INVENTORY_KEY_TTL", "0.5"),
    ("LOG_LEVEL", "verbose"),
    ("LOG_FORMAT", "xml"),
    ("SERVER_HOST", "0.0.0.0:8040"),
    ("SERVER_PORT", "65536"),
    ("GRPC_DEBUG_PORT", "http"),
    ("POD_NAME", "a\ud800"),
]


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_bad_value_is_one_sentence_with_name_value_and_advice(name: str, text: str) -> None:
    [problem] = problems(**{name: text})
    assert problem.startswith(f"{name} is '")
    assert problem.endswith(".")
    assert "but it must be" in problem
    assert problem.isprintable()
    assert len(problem) < 500


def test_every_problem_is_reported_at_once() -> None:
    found = problems(SQS_QUEUE_URL="", MAX_RETRIES="x", LOG_LEVEL="loud", SERVER_PORT="8041")
    assert [problem.split()[0] for problem in found] == [
        "SQS_QUEUE_URL",
        "MAX_RETRIES",
        "LOG_LEVEL",
        "SERVER_PORT",
    ]


def test_a_problem_names_the_source_of_the_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_mapping(
            {"SQS_QUEUE_URL": "x", "MAX_RETRIES": "x"}, {"SQS_QUEUE_URL": ".env.local"}
        )
    queue, retries = caught.value.problems
    assert "'x' in .env.local," in queue
    assert "'x' in the environment," in retries


@pytest.mark.parametrize(
    ("stop", "wait", "ways_out"),
    [
        ("27.5", "20", "SHUTDOWN_TIMEOUT to at least 28, or SQS_WAIT_TIME to at most 19."),
        ("8", "1", "SHUTDOWN_TIMEOUT to at least 9, or SQS_WAIT_TIME to at most 0."),
        ("7", "0", "SHUTDOWN_TIMEOUT to at least 8."),
    ],
)
def test_a_stop_shorter_than_a_long_poll_is_refused_with_the_ways_out(
    stop: str, wait: str, ways_out: str
) -> None:
    [problem] = problems(SHUTDOWN_TIMEOUT=stop, SQS_WAIT_TIME=wait)
    assert problem.endswith(ways_out)


@pytest.mark.parametrize(("stop", "wait"), [("28", "20"), ("8", "0"), ("9", "1")])
def test_a_stop_just_longer_than_a_long_poll_is_accepted(stop: str, wait: str) -> None:
    assert settings(SHUTDOWN_TIMEOUT=stop, SQS_WAIT_TIME=wait).shutdown_timeout == float(stop)


def test_two_servers_on_one_port_are_refused_unless_the_port_is_any() -> None:
    [problem] = problems(SERVER_PORT="9000", GRPC_DEBUG_PORT="9000")
    assert "both 9000" in problem
    assert settings(SERVER_PORT="0", GRPC_DEBUG_PORT="0").server_port == 0


@pytest.mark.parametrize("name", ["SQS_QUEUE_URL", "SQS_DLQ_URL"])
def test_a_fifo_queue_is_refused_with_the_reason(name: str) -> None:
    [problem] = problems(**{name: "http://localhost:9324/queue/q.fifo"})
    assert problem.startswith(f"{name} is a FIFO queue: ")
    assert "without a group" in problem


@pytest.mark.parametrize(
    "again",
    [
        QUEUE,
        QUEUE.replace("sqs.", "SQS."),
        QUEUE[:8] + "u@" + QUEUE[8:],
        QUEUE.replace("sqs.ap-northeast-2.", "ap-northeast-2.queue."),
        QUEUE.replace("amazonaws.com", "api.aws"),
        "http://localhost:4566/" + QUEUE.partition(".com/")[2],
    ],
)
def test_a_queue_cannot_be_its_own_dead_letter_queue(again: str) -> None:
    [problem] = problems(SQS_DLQ_URL=again)
    assert problem.startswith("SQS_DLQ_URL is the same queue as SQS_QUEUE_URL")
    assert settings(SQS_DLQ_URL=QUEUE + "-dlq").sqs_dlq_url == QUEUE + "-dlq"


def test_the_queue_is_in_the_aws_region_unless_it_has_its_own() -> None:
    assert settings(AWS_REGION="us-east-1").sqs_region == "us-east-1"
    assert settings(AWS_REGION="us-east-1", SQS_REGION="eu-west-1").sqs_region == "eu-west-1"


@pytest.mark.parametrize(
    ("endpoint", "said", "insecure"),
    [
        ("", "", True),
        ("host:4317", "", True),
        ("http://host:4317", "", True),
        ("https://host:4317", "", False),
        ("HTTPS://host:4317", "", False),
        ("https://host:4317", "true", True),
        ("host:4317", "false", False),
    ],
)
def test_traces_go_without_tls_unless_the_endpoint_or_the_variable_asks_for_it(
    endpoint: str, said: str, insecure: bool
) -> None:
    made = settings(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_INSECURE=said)
    assert made.otel_insecure is insecure


ALL = "OTEL_EXPORTER_OTLP_"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_"


@pytest.mark.parametrize(
    ("values", "collector"),
    [
        ({}, None),
        ({f"{ALL}ENDPOINT": "a:1"}, ("a:1", True)),
        ({f"{TRACES}ENDPOINT": "b:2"}, ("b:2", True)),
        ({f"{TRACES}ENDPOINT": "https://b:2"}, ("https://b:2", False)),
        ({f"{TRACES}ENDPOINT": "b:2", f"{ALL}ENDPOINT": "https://a:1"}, ("b:2", True)),
        ({f"{TRACES}ENDPOINT": "b:2", f"{ALL}INSECURE": "false"}, ("b:2", False)),
        (
            {f"{ALL}ENDPOINT": "a:1", f"{ALL}INSECURE": "true", f"{TRACES}INSECURE": "false"},
            ("a:1", False),
        ),
        ({f"{ALL}ENDPOINT": "a:1", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({f"{TRACES}ENDPOINT": "a:1", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_the_collector_is_chosen_by_opentelemetrys_own_variables(
    values: dict[str, str], collector: tuple[str, bool] | None
) -> None:
    assert settings(**values).collector == collector


def test_the_pod_is_named_by_pod_name_then_hostname() -> None:
    assert settings(POD_NAME="a", HOSTNAME="b").pod_name == "a"
    assert settings(HOSTNAME="b").pod_name == "b"
    assert settings(HOSTNAME="b\n\x07c").pod_name == "unknown"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().max_retries = 6  # type: ignore[misc]


def test_settings_can_be_copied_with_a_change_pickled_and_compared() -> None:
    made = settings()
    assert dataclasses.replace(made, max_retries=1) != made
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert hash(made) == hash(settings())


def test_the_source_of_each_value_is_known() -> None:
    values = {"SQS_QUEUE_URL": QUEUE, "MAX_RETRIES": "1", "LOG_LEVEL": "warn", "POD_NAME": " "}
    made = Settings.from_mapping(values, {"SQS_QUEUE_URL": "secret", "LOG_LEVEL": ".env"})
    found = [made.source_of(name) for name in ("SQS_QUEUE_URL", "MAX_RETRIES", "LOG_LEVEL")]
    assert found == ["secret", "environment", ".env"]
    assert made.source_of("POD_NAME") == made.source_of("AWS_REGION") == "default"


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


PIECES = [*"@:/?[]%\\9a. ²٣\x00\n\ud800", "http://", "https://", "::"]
TEXT = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES)).map("".join),
    st.integers().map(str),
    st.floats().map(str),
)

# Hypothesis builds its table of characters on first use, which is slow once.
patient = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(
    st.dictionaries(st.sampled_from([*NAMES, "HOSTNAME"]), TEXT),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["secret", ".env"])),
)
@example({"RESERVATION_API_BASE": "http://[::1"}, {})
@example({"RESERVATION_API_BASE": "http://[v1.x]:80"}, {})
@example({"SERVER_PORT": "²"}, {})
def test_no_text_raises_anything_but_a_configuration_error(
    values: dict[str, str], sources: dict[str, str]
) -> None:
    found, shown = [""], ""
    try:
        shown = repr(Settings.from_mapping({"SQS_QUEUE_URL": QUEUE, **values}, sources))
    except ConfigurationError as error:
        found = error.problems
    assert found
    assert "".join([shown, *found]).isprintable()


@patient
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_no_shape_of_password_is_ever_shown(noise: str) -> None:
    text = f"https://user:{noise}hunter2{noise}@host/1/q"
    try:
        output = repr(settings(SQS_QUEUE_URL=text))
    except ConfigurationError as error:
        output = str(error)
    assert "hunter2" not in output


def test_the_example_file_is_the_table() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == env_example(VARIABLES)


def test_the_example_file_names_every_variable_once_and_its_defaults_parse() -> None:
    pairs = [
        line.removeprefix("# ").split("=", 1)
        for line in (ROOT / ".env.example").read_text("utf-8").splitlines()
        if line.removeprefix("# ").split("=")[0].replace("_", "").isupper()
    ]
    boto3s = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"}
    assert [name for name, _ in pairs if name not in boto3s] == NAMES
    assert {name for name, _ in pairs} > boto3s
    values = {name: value for name, value in pairs if name not in boto3s}
    assert Settings.from_mapping(values | {"SQS_QUEUE_URL": QUEUE}) == settings()


def test_the_markdown_table_has_a_row_for_every_variable() -> None:
    rows = markdown(VARIABLES).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == NAMES
    assert all(row.count("|") == 4 for row in rows)


def test_the_table_and_the_fields_of_settings_are_the_same() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert [variable.field for variable in VARIABLES] == fields[:-1]
    assert fields[-1] == "sources"
