"""A real Prometheus on loopback, promtool, and the queries of rules and dashboard."""

import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import requests
import yaml

from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.processes.ports import free_port
from tests.deploy.tools import need

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "k8s/monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text())
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
# Values of Grafana's variables; the windows span a whole test.
_VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1m",
    "$namespace": ".*",
    "$pod": ".*",
    "$queue": "traffic-tacos-reservation-events",
}
# A selector; nothing else in the expressions starts with these prefixes.
_SELECTOR = re.compile(r"\b((?:worker|sqs|process|keda|aws|kube)_\w+)(\{[^}]*\})?")


def promtool(*arguments: str | Path) -> None:
    """Run promtool; fails with its output."""
    need("promtool")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def dashboard_queries() -> dict[str, str]:
    """Every query of the dashboard with values for its variables, by its panel and its legend."""
    return {
        f"{panel['title']}: {target['legendFormat']}": _substituted(target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    }


def _substituted(query: str) -> str:
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    return query


def selectors(query: str) -> dict[str, str]:
    """The selectors of a query with the metric of each."""
    return {found[0]: found[1] for found in _SELECTOR.finditer(query)}


class PrometheusProcess(Child):
    """Scrapes `jobs` (its scrape_configs) and evaluates the rules every second."""

    name = "prometheus"

    def __init__(self, jobs: list[dict[str, Any]], directory: Path) -> None:
        need("prometheus")
        self.base = f"http://127.0.0.1:{free_port()}"
        config = directory / "prometheus.yaml"
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(MONITORING / "rules.yaml")],
            "scrape_configs": jobs,
        }
        config.write_text(yaml.safe_dump(settings))
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.base.removeprefix('http://')}",
            "--log.level=warn",
        ]
        super().__init__(command, directory=directory)
        self._http = requests.Session()
        self._http.trust_env = False

    def _up(self) -> None:
        self.until(self._ready, 60, "become ready")

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.base}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def get(self, path: str, **parameters: Any) -> Any:
        """The `data` of an answer of its API; fails with the error of a refusal."""
        url = f"{self.base}/api/v1/{path}"
        answer = self._http.get(url, params=parameters, timeout=10).json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def series(self, query: str, at: float | None = None) -> list[dict[str, str]]:
        """The labels of an instant query's series, now or `at` Unix seconds; without NaN."""
        return [labels for labels, _ in self._answer(query, at)]

    def values(self, query: str) -> list[float]:
        """The values of an instant query."""
        return [value for _, value in self._answer(query, None)]

    def _answer(self, query: str, at: float | None) -> list[tuple[dict[str, str], float]]:
        result = self.get("query", query=query, **({} if at is None else {"time": at}))["result"]
        found = [(one["metric"], float(one["value"][1])) for one in result]
        return [(labels, value) for labels, value in found if not math.isnan(value)]
