"""The table of kinds agrees with the contract page and with the rule that fills the queue."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reservation_worker.events.kinds import BY_PAYMENT_STATUS, DETAIL_TYPES, Commit, Kind
from reservation_worker.simulator.neighbours.reservations import FINAL

ROOT = Path(__file__).parents[3]
QUEUES = ROOT / "k8s/aws/queues.yaml"
CONTRACT = (ROOT / "docs/contract.md").read_text()


def section(title: str) -> str:
    """The text below a heading of the contract, up to the next heading."""
    found = re.search(rf"^##+ {title}\n(.*?)(?=^##)", CONTRACT, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def rows(title: str, first: str) -> Iterator[list[str]]:
    """The rows of the table with the first column `first`, without backticks."""
    table = re.search(rf"^\| {first} \|.*\n\|-.*\n((?:\|.*\n)+)", section(title), re.MULTILINE)
    assert table, f"{title}: no table of {first}"
    for line in table[1].splitlines():
        yield [cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")]


def test_the_contract_lists_each_type_with_its_label_and_its_notification() -> None:
    assert [cells[:3] for cells in rows("Events", "type")] == [
        [kind.event_type, kind.label, kind.value.notification] for kind in Kind
    ]


@pytest.mark.parametrize("kind", Kind)
def test_an_alias_is_the_type_in_pascal_case_or_named_by_the_contract(kind: Kind) -> None:
    variants = {cells[0]: cells[2] for cells in rows("Variants", "variant")}
    for alias in kind.value.aliases:
        if "." in alias:
            assert f"{alias} means {kind.event_type}" in variants["legacy type"]
        else:
            assert alias == kind.event_type.title().replace(".", "")


def test_the_contract_lists_the_meaning_of_each_payment_status() -> None:
    meant = {
        status: meaning
        for statuses, meaning in rows("Variants", "payment status")
        for status in statuses.split(", ")
    }
    assert "invalid" in meant.pop("anything else")
    assert meant == {
        status: kind.event_type if kind else "nothing to do: acknowledged with outcome dropped"
        for status, kind in BY_PAYMENT_STATUS.items()
    }


def test_the_contract_lists_the_effects_of_each_kind_and_the_meaning_of_a_refusal() -> None:
    described = {cells[0]: cells[1:] for cells in rows("Settlement", "event")}
    assert set(described) == {kind.event_type for kind in Kind}
    for kind in Kind:
        rule = kind.value
        target, inventory, refused = described[kind.event_type]
        seats = rule.seats
        release = "" if isinstance(seats, Commit) else f"ReleaseHold, reason {seats.reason}"
        assert (target, inventory) == (rule.target, release or "CommitReservation")
        assert f"now {rule.target}: a replay" in refused
        assert set(re.findall("[A-Z]{6,}", refused)) == FINAL
        assert ("compensation due" in refused) == rule.money_taken
        assert ("superseded" in refused) != rule.money_taken


def test_no_name_means_two_kinds() -> None:
    for names in (
        [*DETAIL_TYPES],
        [kind.label for kind in Kind],
        [status for kind in Kind for status in kind.value.payment_statuses],
        [kind.value.notification for kind in Kind],
    ):
        assert [name for name, count in Counter(names).items() if count > 1] == []
    assert "unknown" not in [kind.label for kind in Kind], "the label of no event"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_asks_for_a_final_state_and_every_sample_of_a_payment_names_it(
    kind: Kind,
) -> None:
    assert kind.value.target in FINAL
    if kind.value.money_taken or kind.value.payment_statuses:
        assert kind.value.sample["payment_intent_id"]


class CloudFormation(yaml.SafeLoader):
    """YAML in which short functions (!Ref, !GetAtt, !Sub) stay text."""


def _function(loader: yaml.SafeLoader, suffix: str, node: Any) -> str:
    return f"!{suffix} {node.value}"


CloudFormation.add_multi_constructor("!", _function)


def test_the_rule_of_the_manifests_lets_every_type_through_and_nothing_else() -> None:
    resources = yaml.load(QUEUES.read_text(), CloudFormation)["Resources"]
    allowed = resources["Rule"]["Properties"]["EventPattern"]["detail-type"]
    missing = [name for name in DETAIL_TYPES if name not in allowed]
    assert not missing, f"EventBridge would not deliver {missing}: add them to {QUEUES.name}"
    assert sorted(allowed) == sorted(DETAIL_TYPES)
