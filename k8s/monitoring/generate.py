"""Make alerts.yaml, the PrometheusRule for Kubernetes, from rules.yaml beside it."""

import textwrap
from pathlib import Path

HERE = Path(__file__).parent
HEAD = """\
# Made from rules.yaml by generate.py: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: reservation-worker
  namespace: traffic-tacos
  labels:
    app: reservation-worker
spec:
"""


def main() -> None:
    """Write alerts.yaml."""
    rules = (HERE / "rules.yaml").read_text()
    groups = rules[rules.index("groups:") :]
    (HERE / "alerts.yaml").write_text(HEAD + textwrap.indent(groups, "  "))


if __name__ == "__main__":
    main()
