"""The benchmarks' medians, goals and tables."""

import pytest

from benchmarks.figures import medians, quantiles_ms, spreads
from benchmarks.report import evaluate, goal_table, number, other_table, row_table
from benchmarks.rows import GOALS, ROWS, Goal, Setup
from benchmarks.scenarios import SCENARIOS, import_seconds

FAST = Goal("fast enough", ("one", "two"), "events_per_s", ">=", 330, "/s")
CHEAP = Goal("cheap enough", ("one", "two"), "cpu_ms", "<=", 1.5, "ms")


def test_a_median_is_taken_over_the_runs_that_have_the_figure() -> None:
    runs = [{"a": 1.0, "b": 5.0}, {"a": 9.0}, {"a": 2.0}]
    assert medians(runs) == {"a": 2.0, "b": 5.0}


def test_the_spread_is_the_range_in_percent_of_the_median() -> None:
    assert spreads([{"a": 90.0, "b": 0.0}, {"a": 100.0, "b": 0.0}, {"a": 120.0, "b": 0.0}]) == {
        "a": 30.0,
        "b": 0.0,
    }


def test_quantiles_are_exact_and_in_milliseconds() -> None:
    found = quantiles_ms([number / 1000 for number in range(101)])
    assert found == pytest.approx({"p50": 50.0, "p95": 95.0, "p99": 99.0})


def test_no_quantile_is_made_up_from_one_value() -> None:
    assert quantiles_ms([1.0]) == {}


@pytest.mark.parametrize(
    ("goal", "first", "second", "value", "met", "row"),
    [
        (FAST, 300.0, 330.0, 330.0, True, "two"),
        (FAST, 329.9, 100.0, 329.9, False, "one"),
        (CHEAP, 1.5, 1.6, 1.5, True, "one"),
        (CHEAP, 1.6, 1.51, 1.51, False, "two"),
    ],
)
def test_a_goal_is_compared_with_the_best_of_its_rows(
    goal: Goal, first: float, second: float, value: float, met: bool, row: str
) -> None:
    result = evaluate(goal, {"one": {goal.figure: first}, "two": {goal.figure: second}})
    assert (result.value, result.met, result.row) == (value, met, row)


def test_a_goal_against_another_row_is_compared_by_the_ratio() -> None:
    flat = Goal("flat", ("deep",), "cpu_ms", "<=", 1.1, "x", against="shallow")
    rows = {"deep": {"cpu_ms": 1.32}, "shallow": {"cpu_ms": 1.2}}
    assert evaluate(flat, rows).value == pytest.approx(1.1)
    assert evaluate(flat, {**rows, "deep": {"cpu_ms": 1.33}}).met is False


@pytest.mark.parametrize("rows", [{}, {"deep": {"cpu_ms": 1.0}}, {"shallow": {"cpu_ms": 1.0}}])
def test_a_goal_that_was_not_measured_is_neither_met_nor_missed(
    rows: dict[str, dict[str, float]],
) -> None:
    flat = Goal("flat", ("deep",), "cpu_ms", "<=", 1.1, "x", against="shallow")
    assert evaluate(flat, rows).met is None


def test_the_goal_table_has_bound_figure_result_and_row() -> None:
    met = evaluate(FAST, {"two": {"events_per_s": 1234.5}})
    missed = evaluate(CHEAP, {"one": {"cpu_ms": 1.578}})
    assert goal_table([met, missed, evaluate(FAST, {})]).splitlines()[2:] == [
        "| fast enough | ≥ 330 /s | 1,234 /s | ✓ | two |",
        "| cheap enough | ≤ 1.5 ms | 1.58 ms | ✗ | one |",
        "| fast enough | ≥ 330 /s | - | not measured |  |",
    ]


def test_a_row_that_others_disturbed_is_marked() -> None:
    calm = {"events_per_s": 200.0, "cpu_ms": 1.5, "foreign_cpus": 0.02}
    table = row_table(
        {"calm": calm, "noisy": {**calm, "foreign_cpus": 0.5}, "start": {"cpu_s": 1.0}},
        {"calm": {"cpu_ms": 3.4}, "noisy": {"cpu_ms": 40.0}},
    )
    assert table.splitlines() == [
        "| row | events/s | CPU ms/event | spread | others' CPUs |",
        "|---|---|---|---|---|",
        "| calm | 200 | 1.5 | 3 % | 0.02 |",
        "| noisy | 200 | 1.5 | 40 % | 0.50! |",
    ]


def test_the_other_rows_show_each_figure_by_its_name() -> None:
    assert "| start | cpu_s 0.38, seconds 0.7 |" in other_table(
        {"start": {"cpu_s": 0.38, "seconds": 0.7}, "load": {"events_per_s": 1.0}}
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.2, "0.2"), (1.578, "1.58"), (95.0, "95"), (10.06, "10.1"), (21600, "21,600")],
)
def test_a_number_has_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_every_goal_is_about_rows_that_are_measured() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for goal in GOALS:
        assert goal.rows
        assert {*goal.rows, goal.against or goal.rows[0]} <= set(names)
    assert {row.scenario for row in ROWS} == set(SCENARIOS)


def test_the_ceiling_is_two_calls_a_thread() -> None:
    assert Setup(latency_ms=40).ceiling == pytest.approx(250)
    assert Setup(latency_ms=40, processes=4).ceiling == pytest.approx(1000)
    assert Setup(latency_ms=0).ceiling == 0


def test_import_times_are_summed_by_package() -> None:
    output = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   botocore.session
import time:       250 |        350 | botocore
import time:        50 |         50 |     grpc._channel
another line
"""
    assert import_seconds(output) == pytest.approx({"botocore": 0.00035, "grpc": 0.00005})
