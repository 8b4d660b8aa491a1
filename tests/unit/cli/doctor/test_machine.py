"""Traces, addresses and memory."""

from pathlib import Path

import pytest

from reservation_worker.cli.doctor import collector, machine
from reservation_worker.cli.doctor.protocols import split
from reservation_worker.cli.doctor.result import CheckStatus
from tests.unit.cli.doctor.settings import KNOWN, statuses


@pytest.mark.parametrize(
    "switched",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_SAMPLER": "parentbased_always_off"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"},
    ],
)
def test_switched_off_traces_are_reported(switched: dict[str, str]) -> None:
    [row] = collector.switched_off(switched)
    assert row.status is CheckStatus.WARNING
    assert next(iter(switched)) in row.detail


def test_the_default_sampling_needs_no_result() -> None:
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


def test_no_limit_is_fine_and_an_unreadable_one_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert statuses(machine.memory(KNOWN)) == [CheckStatus.UNKNOWN]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert statuses(machine.memory(KNOWN)) == [CheckStatus.OK]
