"""The capacity plan's page and charts."""

from xml.etree import ElementTree

import pytest

from benchmarks.capacity.__main__ import CHARTS, PAGE, draw, fill
from benchmarks.capacity.plan import CapacityPlan
from benchmarks.svg import line_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_page_and_charts_are_up_to_date_with_the_simulation() -> None:
    stale = [path.name for path, text in draw(CapacityPlan()).items() if path.read_text() != text]
    assert not stale, "run make capacity"
    assert {path.name for path in CHARTS.glob("capacity-*.svg")} == {
        part.split(")")[0] for part in PAGE.read_text().split("(charts/")[1:]
    }


def test_only_the_text_between_a_tables_marks_is_replaced() -> None:
    page = "a\n<!-- table: one -->\nold\n<!-- end -->\nb <!-- table: two -->\n<!-- end -->"
    assert fill(page, {"one": "| 1 |", "two": "2"}) == (
        "a\n<!-- table: one -->\n| 1 |\n<!-- end -->\nb <!-- table: two -->\n2\n<!-- end -->"
    )


@pytest.mark.parametrize("tables", [{}, {"one": "", "two": ""}])
def test_a_table_without_a_place_and_a_place_without_a_table_are_errors(
    tables: dict[str, str],
) -> None:
    with pytest.raises(ValueError, match="differ in"):
        fill("<!-- table: one -->\n<!-- end -->", tables)


def test_a_chart_is_xml_with_a_name_a_description_and_both_colour_schemes() -> None:
    text = line_chart("a < b", "what & why", "pods", {"one": [(0, 0), (10, 5)], "two": [(0, 1)]})
    root = ElementTree.fromstring(text)
    assert root.findtext(f"{SVG}title") == "a < b"
    assert root.findtext(f"{SVG}desc") == "what & why"
    assert "prefers-color-scheme: dark" in root.findtext(f"{SVG}style", "")
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert {"one", "two", "pods", "seconds", "10", "5"} <= set(words)


def test_a_charts_line_starts_at_the_left_below_and_ends_at_the_right_above() -> None:
    text = line_chart("t", "d", "pods", {"one": [(0, 0), (5, 5), (5.5, 5), (6, 5), (10, 5)]})
    paths = [one.get("d") for one in ElementTree.fromstring(text).iter(f"{SVG}path")]
    # The level stretch between its corners needs no point of its own.
    assert paths[-1] == "M68.0,294.0L406.0,62.0L744.0,62.0"
