"""The alerts: valid, with cases that fire and cases that don't, each with its runbook section."""

import json
import re

import pytest
import yaml

from tests.deploy.prometheus import ALERTS, DASHBOARD, MONITORING, ROOT, RULES, promtool
from tests.deploy.tools import rendered

RUNBOOK = ROOT / "docs/runbook.md"


def test_promtool_finds_the_rules_valid() -> None:
    promtool("check", "rules", MONITORING / "rules.yaml")


def test_every_case_of_the_alerts_holds() -> None:
    promtool("test", "rules", *sorted((MONITORING / "tests").glob("*.yaml")))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_cases_that_fire_and_cases_that_do_not(alert: str) -> None:
    cases = yaml.safe_load((MONITORING / f"tests/{alert}.yaml").read_text())["tests"]
    # Each check names all alerts that fire then.
    checks = [check for case in cases for check in case["promql_expr_test"]]
    assert {check["expr"] for check in checks} == {
        'count by (alertname) (ALERTS{alertstate="firing"})'
    }
    firing = [{"labels": f'{{alertname="{alert}"}}', "value": 1}]
    assert firing in [check.get("exp_samples") for check in checks]
    # And one case in which it never fires.
    assert any(not any("exp_samples" in one for one in case["promql_expr_test"]) for case in cases)


def test_the_custom_resource_holds_the_same_rules() -> None:
    resource = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    assert resource["kind"] == "PrometheusRule"
    assert resource["spec"] == RULES, "run python k8s/monitoring/generate.py"


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_severity_a_summary_a_description_and_a_runbook_section(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"].keys() == {"severity", "service"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["service"] == "reservation-worker"
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/blob/main/docs/runbook.md")
    assert anchor == alert.lower()


def test_every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() -> None:
    alerts = RUNBOOK.read_text().split("\n## ")[1]
    assert alerts.startswith("Alerts\n")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", alerts, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(ALERTS)
    for alert, text in sections.items():
        parts = re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)
        assert parts == ["Means", "See", "Do", "Don't"], alert
        assert ALERTS[alert]["labels"]["severity"] in text.splitlines()[0], alert


def test_every_link_of_the_runbook_has_a_target() -> None:
    text = RUNBOOK.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    files = re.findall(r"\]\((\.[^)#]+)", text)
    assert files
    assert all((RUNBOOK.parent / path).exists() for path in files)


def test_kustomize_makes_the_custom_resource_and_the_dashboard_for_grafana() -> None:
    resources = {made["kind"]: made for made in rendered("../monitoring")}
    assert resources.keys() == {"ConfigMap", "PrometheusRule"}
    assert resources["PrometheusRule"]["spec"] == RULES
    dashboard = resources["ConfigMap"]
    assert dashboard["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(dashboard["data"]["dashboard.json"]) == DASHBOARD
