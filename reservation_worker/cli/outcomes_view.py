"""A table of outcomes and latencies."""

from rich.table import Table

from reservation_worker.cli import terminal
from reservation_worker.simulator.metrics import FINAL, Metrics

_HEADS = {"invalid_payload": "invalid"}


def outcomes(metrics: Metrics) -> Table:
    """A row for each type of event, and one for all."""
    table = terminal.table("Outcomes by type, latency in ms")
    columns = (*FINAL, "retried")
    table.add_column("type")
    for column in (*columns, "P50", "P95", "P99"):
        table.add_column(_HEADS.get(column, column), justify="right")
    found = metrics.outcomes()
    for kind, counts in found.items():
        table.add_row(
            kind,
            *(_number(counts.get(name, 0)) for name in columns),
            *(_number(value) for value in metrics.quantiles_ms(type=kind).values()),
        )
    table.add_section()
    table.add_row(
        "all",
        *(_number(sum(counts.get(name, 0) for counts in found.values())) for name in columns),
        *(_number(value) for value in metrics.quantiles_ms().values()),
        style="bold",
    )
    return table


def _number(value: float | None) -> str:
    return f"{value:.0f}" if value else "-"
