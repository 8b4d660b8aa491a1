"""Doctor's judgements, and that one check never takes another with it."""

import json
import threading
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reservation_worker.cli.doctor import (
    collector,
    eventbridge,
    machine,
    manifests,
    policies,
    queue,
    runner,
)
from reservation_worker.cli.doctor.network import split
from reservation_worker.cli.doctor.result import (
    Check,
    CheckResult,
    CheckStatus,
    failure,
    ok,
    unknown,
    warning,
)
from reservation_worker.cli.doctor.show import as_json, show
from reservation_worker.config.sources import Survey

URL = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/reservation-events"
PLACEHOLDER = "https://sqs.ap-northeast-2.amazonaws.com/000000000000/reservation-events"
KNOWN: dict[str, Any] = {
    "sqs_queue_url": URL,
    "sqs_region": "ap-northeast-2",
    "sqs_dlq_url": None,
    "call_timeout": 10.0,
    "max_retries": 5,
    "worker_concurrency": 20,
}
FITTING = {
    "VisibilityTimeout": "60",
    "MessageRetentionPeriod": "345600",
    "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": "arn:aws:sqs:x:1:reservation-events-dlq", "maxReceiveCount": 30}
    ),
}


def statuses(rows: list[CheckResult]) -> list[CheckStatus]:
    return [row.status for row in rows]


# Asking.


@pytest.fixture
def stuck() -> Iterator[Check]:
    release = threading.Event()

    def wait(known: object) -> list[CheckResult]:
        release.wait(30)
        return []

    yield Check("stuck", (), wait)
    release.set()


def examined(
    monkeypatch: pytest.MonkeyPatch, *checks: Check, limit: float = 30
) -> list[CheckResult]:
    monkeypatch.setattr(runner, "CHECKS", checks)
    return runner.run_checks(Survey({}, {}, KNOWN, []), [], limit)


def test_rows_keep_the_order_of_the_checks_whoever_ends_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second_ended = threading.Event()

    def first(known: object) -> list[CheckResult]:
        assert second_ended.wait(10)
        return [ok("first", "")]

    def second(known: object) -> list[CheckResult]:
        second_ended.set()
        return [ok("second", "")]

    rows = examined(monkeypatch, Check("first", (), first), Check("second", (), second))
    assert [row.check for row in rows] == ["configuration", "first", "second"]


def test_a_check_that_never_ends_is_unknown_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, stuck: Check
) -> None:
    other = Check("other", (), lambda known: [ok("other", "fine")])
    _, late, fine = examined(monkeypatch, stuck, other, limit=0.3)
    assert (late.check, late.status) == ("stuck", CheckStatus.UNKNOWN)
    assert "no answer within 0.3 s" in late.detail
    assert fine == ok("other", "fine")


def test_a_check_that_fails_itself_is_unknown_and_takes_nobody_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Check("broken", (), lambda known: [CheckResult(**known["nothing"])])
    other = Check("other", (), lambda known: [ok("other", "fine")])
    _, failed, fine = examined(monkeypatch, broken, other)
    assert (failed.check, failed.status) == ("broken", CheckStatus.UNKNOWN)
    assert "KeyError" in failed.detail
    assert fine == ok("other", "fine")


def test_a_check_is_not_made_without_the_settings_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    _, row = examined(monkeypatch, Check("cpu", ("log_level",), lambda known: [ok("cpu", "")]))
    assert row == unknown("cpu", "not checked", "correct the configuration first: LOG_LEVEL")


def test_secrets_and_control_characters_are_taken_out_of_every_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    said = "hunter2hunter2 at http://me:pw@host/\x1b[2J\n"
    row = examined(monkeypatch, Check("x", (), lambda known: [failure("x", said, said)]))[1]
    assert row.detail == row.advice == "*** at http://***@host/\N{REPLACEMENT CHARACTER}[2J"


# Showing.


def shown(encoding: str) -> str:
    out = TextIOWrapper(BytesIO(), encoding)
    rows = [
        ok("a", "fine"),
        warning("b", "[red]so", "look"),
        failure("c", "bad", "mend"),
        unknown("d", "?", "ask"),
    ]
    show(rows, Console(file=out, width=80))
    out.seek(0)
    return out.read()


def test_the_table_has_a_mark_for_each_status_and_what_to_do() -> None:
    text = shown("utf-8")
    for row in ("✓   a", "!   b", "✗   c", "?   d", "→ look", "→ mend", "→ ask", "[red]so"):
        assert row in text
    assert "1 ✓ ok, 1 ! warning, 1 ✗ failure, 1 ? unknown" in text


def test_the_table_is_in_words_where_the_terminal_has_no_such_characters() -> None:
    text = shown("ascii")
    assert text.isascii()
    assert "WRONG" in text
    assert "-> mend" in text


def test_the_table_shows_all_of_a_long_url() -> None:
    out = TextIOWrapper(BytesIO(), "utf-8")
    url = f"https://sqs.ap-northeast-2.amazonaws.com/137406935518/{'q' * 79}x"
    show([failure("KEDA", f"queueURL is {url}", "")], Console(file=out, width=80))
    out.seek(0)
    assert url in "".join(line[12:].strip() for line in out)


@pytest.mark.parametrize(
    ("rows", "ok"),
    [
        ([ok("a", ""), warning("b", "", ""), unknown("c", "", "")], True),
        ([failure("a", "", "")], False),
    ],
)
def test_json_says_whether_anything_is_wrong(rows: list[CheckResult], ok: bool) -> None:
    assert json.loads(as_json(rows))["ok"] is ok


# The queue.


def test_a_queue_as_we_ship_it_is_good() -> None:
    assert statuses(queue.check_attributes(KNOWN, FITTING)) == [CheckStatus.OK]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"VisibilityTimeout": "30"}, CheckStatus.WARNING, "VisibilityTimeout is 30 s"),
        ({"VisibilityTimeout": "0"}, CheckStatus.FAILURE, "every message is lost"),
        ({"FifoQueue": "true"}, CheckStatus.FAILURE, "FIFO"),
    ],
)
def test_what_does_not_fit_the_worker_is_told_with_what_to_do(
    changes: dict[str, str], status: CheckStatus, words: str
) -> None:
    there, row = queue.check_attributes(KNOWN, FITTING | changes)
    assert (there.status, row.status) == (CheckStatus.OK, status)
    assert words in row.detail
    assert row.advice


RULE = "arn:aws:events:ap-northeast-2:123456789012:rule/tickets/reservation-events"


def statement(**changes: Any) -> dict[str, Any]:
    made = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    return made | changes


def when(operator: str, arn: str) -> dict[str, Any]:
    return {operator: {"aws:SourceArn": arn}}


@pytest.mark.parametrize(
    ("statements", "may"),
    [
        ([statement()], True),
        (statement(), True),
        ([statement(Principal={"Service": ["sns.amazonaws.com", "events.amazonaws.com"]})], True),
        ([statement(Principal="*", Condition=when("ArnEquals", RULE))], True),
        ([statement(Principal={"AWS": "*"}, Action=["SQS:*"])], True),
        ([statement(Condition=when("ArnLike", RULE.replace("tickets", "*")))], True),
        ([statement(Condition=when("ArnEquals", RULE + "-old"))], False),
        ([statement(Effect="Deny")], False),
        ([statement(Principal={"Service": "sns.amazonaws.com"})], False),
        ([statement(Action="sqs:ReceiveMessage")], False),
        ("wild", False),
        (None, False),
    ],
)
def test_a_queue_policy_is_read_for_whether_it_lets_a_rule_send(statements: Any, may: bool) -> None:
    found = policies.source_arns(json.dumps({"Statement": statements}), "sqs:SendMessage")
    assert policies.admits(found, RULE) is may


def test_a_rule_of_another_account_is_unknown_not_missing() -> None:
    theirs = RULE.replace("1234", "9999")
    policy = json.dumps({"Statement": [statement(Condition=when("ArnEquals", theirs))]})
    arn = "arn:aws:sqs:ap-northeast-2:123456789012:reservation-events"
    [row] = eventbridge.check_rules(URL, arn, [], policy)
    assert row.status is CheckStatus.UNKNOWN
    assert theirs in row.detail


class Sqs:
    """As far as it is asked for the dead-letter queue."""

    def __init__(self, retention: int = 14) -> None:
        self.attributes = {"MessageRetentionPeriod": str(retention * 86_400)}

    def get_queue_url(self, **asked: str) -> dict[str, str]:
        return {"QueueUrl": f"https://q/{asked['QueueOwnerAWSAccountId']}/{asked['QueueName']}"}

    def get_queue_attributes(self, **asked: Any) -> dict[str, Any]:
        return {"Attributes": self.attributes}


def dead_letters(
    attributes: dict[str, str] | None, sqs: Sqs, **known: str
) -> tuple[str | None, list[CheckResult]]:
    return queue.dead_letters(KNOWN | known, attributes, sqs)  # type: ignore[arg-type]


def test_the_dead_letter_queue_is_found_by_the_redrive_policy() -> None:
    url, rows = dead_letters(FITTING, Sqs())
    assert url == "https://q/1/reservation-events-dlq"
    assert statuses(rows) == [CheckStatus.OK]


def test_a_missing_dead_letter_queue_is_wrong() -> None:
    url, [row] = dead_letters({}, Sqs())
    assert (url, row.status) == (None, CheckStatus.FAILURE)


@pytest.mark.parametrize("days", [1, 4])
def test_a_dead_letter_queue_that_does_not_keep_longer_is_odd(days: int) -> None:
    _, (_, row) = dead_letters(FITTING, Sqs(days))
    assert row.status is CheckStatus.WARNING
    assert f"keeps messages {days} days, the queue 4" in row.detail


def test_two_dead_letter_queues_are_odd() -> None:
    _, (row, _) = dead_letters(FITTING, Sqs(), sqs_dlq_url="https://q/1/another")
    assert row.status is CheckStatus.WARNING
    assert "reservation-events-dlq" in row.detail


def test_a_dead_letter_queue_that_is_the_queue_itself_is_wrong() -> None:
    sqs = Sqs()
    arn = "arn:aws:sqs:ap-northeast-2:1:reservation-events"
    sqs.attributes["QueueArn"] = arn
    spelt = "https://another.host/1/reservation-events"
    _, rows = dead_letters(FITTING | {"QueueArn": arn}, sqs, sqs_dlq_url=spelt)
    assert rows[0].status is CheckStatus.FAILURE
    assert "it is the queue itself" in rows[0].detail


def test_a_dead_letter_queue_that_is_spelt_otherwise_is_the_same() -> None:
    sqs = Sqs()
    sqs.attributes["QueueArn"] = json.loads(FITTING["RedrivePolicy"])["deadLetterTargetArn"]
    _, rows = dead_letters(FITTING, sqs, sqs_dlq_url="https://legacy/1/reservation-events-dlq/")
    assert statuses(rows) == [CheckStatus.OK]


# Traces, addresses and memory.


@pytest.mark.parametrize(
    "switched",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_SAMPLER": "parentbased_always_off"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"},
    ],
)
def test_traces_that_are_switched_off_are_told(switched: dict[str, str]) -> None:
    [row] = collector.switched_off(switched)
    assert row.status is CheckStatus.WARNING
    assert next(iter(switched)) in row.detail


def test_traces_as_they_are_sampled_by_default_are_not_spoken_of() -> None:
    assert collector.switched_off({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}) == []
    part = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    assert collector.switched_off(part) == []


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("inventory-svc:8021", ("inventory-svc", 8021)),
        ("[::1]:8021", ("::1", 8021)),
        ("http://host:8010/path", ("host", 8010)),
        ("https://host/path", ("host", 443)),
        ("http://[::1]", ("::1", 443)),
    ],
)
def test_an_address_is_split_as_it_is_dialled(address: str, parts: tuple[str, int]) -> None:
    assert split(address) == parts


def test_the_tightest_limit_of_nested_groups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/kubepods/pod/box\n")
    for group, limit in {"kubepods": "max", "kubepods/pod": str(64 * machine.MIB)}.items():
        directory = tmp_path / "sys/fs/cgroup" / group
        directory.mkdir(parents=True)
        (directory / "memory.max").write_text(f"{limit}\n")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    [row] = machine.memory(KNOWN)
    assert row.status is CheckStatus.FAILURE
    assert "64 MiB" in row.detail


def test_no_limit_is_good_and_one_that_cannot_be_read_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert statuses(machine.memory(KNOWN)) == [CheckStatus.UNKNOWN]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert statuses(machine.memory(KNOWN)) == [CheckStatus.OK]


# Manifests.

SCALED: dict[str, Any] = {
    "kind": "ScaledObject",
    "metadata": {"name": "worker"},
    "spec": {
        "scaleTargetRef": {"name": "worker"},
        "triggers": [
            {
                "type": "aws-sqs-queue",
                "authenticationRef": {"name": "aws"},
                "metadata": {"queueURL": URL, "awsRegion": "ap-northeast-2"},
            }
        ],
    },
}


def changed(spec: dict[str, Any] | None = None, **metadata: str | None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(SCALED))
    made["spec"] |= spec or {}
    given = made["spec"]["triggers"][0]["metadata"] | metadata if made["spec"]["triggers"] else {}
    if given:
        made["spec"]["triggers"][0]["metadata"] = {k: v for k, v in given.items() if v is not None}
    return made


def deployment(limit: str = "512Mi", **container: Any) -> dict[str, Any]:
    box = {"name": "worker", "resources": {"limits": {"memory": limit}}} | container
    template = {"spec": {"containers": [box]}}
    return {"kind": "Deployment", "metadata": {"name": "worker"}, "spec": {"template": template}}


def compared(directory: Path, *documents: Any) -> list[CheckResult]:
    """JSON is YAML."""
    file = directory / "manifests.yaml"
    file.write_text("\n---\n".join(json.dumps(one) for one in documents))
    return manifests.compare([file], KNOWN)


@pytest.mark.parametrize(
    "document",
    [SCALED, {"kind": "List", "items": [SCALED]}, {"kind": "ScaledObjectList", "items": [SCALED]}],
)
def test_a_scaled_object_that_fits_is_good_alone_or_in_a_list(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    assert statuses(compared(tmp_path, document)) == [CheckStatus.OK] * 2


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        (changed(queueURL=URL + "-dlq"), CheckStatus.FAILURE, f"queueURL is {URL}-dlq"),
        (changed(queueURL=URL.replace("1234", "9999")), CheckStatus.FAILURE, "does not scale"),
        (changed(queueURL=PLACEHOLDER), CheckStatus.UNKNOWN, "placeholder of a base"),
        (changed(queueURL=None), CheckStatus.FAILURE, "names no queue"),
        (changed(queueURL="${QUEUE_URL}"), CheckStatus.UNKNOWN, "template"),
        (changed(queueURL=None, queueURLFromEnv="QUEUE"), CheckStatus.UNKNOWN, "comes from QUEUE"),
        (changed(awsRegion=None), CheckStatus.FAILURE, "awsRegion is None"),
        (changed(identityOwner="operator"), CheckStatus.WARNING, "identityOwner is deprecated"),
        (changed(queueLength="0"), CheckStatus.FAILURE, "queueLength is 0"),
        (changed(scaleOnInFlight="false"), CheckStatus.WARNING, "scaleOnInFlight"),
        (changed({"triggers": []}), CheckStatus.FAILURE, "no aws-sqs-queue trigger"),
        (changed({"minReplicaCount": 5, "maxReplicaCount": 2}), CheckStatus.FAILURE, "above"),
        (
            changed({"minReplicaCount": 2, "maxReplicaCount": 2}),
            CheckStatus.WARNING,
            "never scales",
        ),
        (changed({"maxReplicaCount": 0}), CheckStatus.FAILURE, "no numbers of pods"),
        (
            SCALED | {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}},
            CheckStatus.FAILURE,
            "paused",
        ),
    ],
)
def test_what_keeps_keda_from_scaling_is_told(
    tmp_path: Path, document: dict[str, Any], status: CheckStatus, words: str
) -> None:
    [row] = [row for row in compared(tmp_path, document) if row.status is not CheckStatus.OK]
    assert row.status is status
    assert words in row.detail
    assert row.advice


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("sqs.ap-northeast-2.", "ap-northeast-2.queue."),
        ("amazonaws.com", "api.aws"),
        (URL[-1], URL[-1] + "/"),
    ],
)
def test_our_queue_in_another_spelling_is_our_queue(tmp_path: Path, part: str, other: str) -> None:
    spelt = other.join(URL.rsplit(part, 1))
    assert spelt != URL
    assert statuses(compared(tmp_path, changed(queueURL=spelt))) == [CheckStatus.OK] * 2


def test_a_queue_by_its_name_or_from_the_deployments_environment_is_compared(
    tmp_path: Path,
) -> None:
    assert (
        statuses(compared(tmp_path, changed(queueURL="reservation-events"))) == [CheckStatus.OK] * 2
    )
    scaled = changed(queueURL=None, queueURLFromEnv="SQS_QUEUE_URL")
    box = deployment(envFrom=[{"configMapRef": {"name": "env"}}])
    config = {"kind": "ConfigMap", "metadata": {"name": "env"}, "data": {"SQS_QUEUE_URL": URL}}
    assert set(statuses(compared(tmp_path, scaled, box, config))) == {CheckStatus.OK}
    side = {"name": "side", "resources": {"limits": {"memory": "16Mi"}}}
    box["spec"]["template"]["spec"]["containers"].append(side)
    config["data"] = {"SQS_QUEUE_URL": URL + "-old"}
    bad = [
        row for row in compared(tmp_path, scaled, box, config) if row.status is CheckStatus.FAILURE
    ]
    assert [row.check for row in bad] == ["KEDA worker", "Deployment worker"]


def test_the_regions_of_manifests_are_compared_with_the_queue_urls_not_with_a_wrong_sqs_region(
    tmp_path: Path,
) -> None:
    file = tmp_path / "manifests.json"
    environ = {"SQS_QUEUE_URL": URL, "AWS_REGION": "ap-northeast-2"}
    box = deployment(env=[{"name": name, "value": text} for name, text in environ.items()])
    file.write_text(json.dumps({"kind": "List", "items": [SCALED, box]}))
    rows = manifests.compare([file], KNOWN | {"sqs_region": "us-east-1"})
    assert set(statuses(rows)) == {CheckStatus.OK}


def test_a_deployments_memory_limit_is_held_against_its_own_concurrency(tmp_path: Path) -> None:
    reference = {"configMapKeyRef": {"name": "env", "key": "threads"}}
    box = deployment(
        "256Mi",
        env=[
            {"name": "SQS_QUEUE_URL", "value": URL},
            {"name": "WORKER_CONCURRENCY", "valueFrom": reference},
        ],
    )
    config = {"kind": "ConfigMap", "metadata": {"name": "env"}, "data": {"threads": "500"}}
    _, row = compared(tmp_path, box, config)
    assert row.status is CheckStatus.FAILURE
    assert "256 MiB; 500 threads" in row.detail


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"SQS_QUEUE_URL": URL, "AWS_REGION": "us-east-1"}, CheckStatus.FAILURE, "in us-east-1"),
        (
            {"SQS_QUEUE_URL": URL, "AWS_REGION": "ap-northeast-2", "SQS_REGION": "us-east-1"},
            CheckStatus.FAILURE,
            "in us-east-1",
        ),
        ({"WORKER_CONCURRENCY": "20"}, CheckStatus.UNKNOWN, "SQS_QUEUE_URL is not in the files"),
    ],
)
def test_a_deployment_that_looks_elsewhere_or_cannot_be_seen_is_told(
    tmp_path: Path, given: dict[str, str], status: CheckStatus, words: str
) -> None:
    box = deployment(env=[{"name": name, "value": value} for name, value in given.items()])
    [row] = [row for row in compared(tmp_path, box) if row.status is not CheckStatus.OK]
    assert row.status is status
    assert words in row.detail
    assert row.advice


@pytest.mark.parametrize(
    ("text", "words"),
    [("kind: {", "is no YAML"), ("", "no ScaledObject"), ("- 1\n- kind: List", "no ScaledObject")],
)
def test_a_file_with_nothing_to_compare_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert words in " ".join(row.detail for row in manifests.compare([file], KNOWN))


def test_a_file_that_is_not_there_does_not_hide_the_others(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text(json.dumps(SCALED))
    rows = manifests.compare([tmp_path / "missing.yaml", there], KNOWN)
    assert statuses(rows) == [CheckStatus.FAILURE, CheckStatus.OK, CheckStatus.OK]
    assert "missing.yaml can't be read: No such file" in rows[0].detail


@pytest.mark.parametrize("wild", [None, 7, [], "x", {"a": 1}])
def test_a_manifest_of_any_shape_breaks_nothing(tmp_path: Path, wild: Any) -> None:
    spec = {"triggers": [{"type": "aws-sqs-queue", "metadata": wild}], "scaleTargetRef": wild}
    scaled = {"kind": "ScaledObject", "metadata": wild, "spec": spec}
    box = deployment(env=[{"name": "A", "valueFrom": {"configMapKeyRef": wild}}], envFrom=wild)
    config = {"kind": "ConfigMap", "metadata": wild, "data": wild}
    assert compared(tmp_path, scaled, box, config, wild, {"kind": wild})
    assert compared(tmp_path, {"kind": "ScaledObject", "metadata": {"annotations": wild}})


def test_without_a_yaml_parser_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    [row] = compared(tmp_path, SCALED)
    assert row.status is CheckStatus.UNKNOWN
    assert "pip install pyyaml" in row.advice
