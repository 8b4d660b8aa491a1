"""The dashboard's structure, checked without a Grafana."""

from collections import Counter
from pathlib import Path

import yaml

from tests.deploy.prometheus import DASHBOARD, dashboard_queries, promtool

WIDTH = 24
PANELS = DASHBOARD["panels"]
CHARTS = [panel for panel in PANELS if panel["type"] != "row"]


def test_every_panel_has_an_id_of_its_own_and_a_title() -> None:
    assert not [one for one, times in Counter(panel["id"] for panel in PANELS).items() if times > 1]
    titles = Counter((panel["type"], panel["title"]) for panel in PANELS)
    assert set(titles.values()) == {1}


def test_no_panel_overlaps_another_or_the_edge() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} overlaps {taken[x, y]}"
                taken[x, y] = panel["title"]
    # No gap either: Grafana would close it by moving panels up.
    assert {y for _, y in taken} == set(range(max(y for _, y in taken) + 1))


def test_every_chart_has_a_description_a_unit_and_legends() -> None:
    for panel in CHARTS:
        assert panel["description"].endswith("."), panel["title"]
        shown = panel["options"].get("yAxis") or panel["fieldConfig"]["defaults"]
        assert shown["unit"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"], panel["title"]
            assert target["legendFormat"] or panel["type"] == "stat", panel["title"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]


def test_every_query_goes_to_the_chosen_data_source_and_uses_known_variables() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(
        one["datasource"] == source for panel in CHARTS for one in [panel, *panel["targets"]]
    )
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "namespace", "pod", "queue"]
    assert not [query for query in dashboard_queries().values() if "$" in query]


def test_every_query_parses(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query}
        for number, query in enumerate(dashboard_queries().values())
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)
