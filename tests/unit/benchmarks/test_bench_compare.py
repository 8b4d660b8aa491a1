"""The working tree beside another revision."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.bench import main
from benchmarks.compare import RevisionError, comparison_table, revision


def git(tree: Path, *arguments: str) -> None:
    command = ["git", "-C", str(tree), "-c", "user.name=n", "-c", "user.email=e", *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository whose working tree has gone on since its only commit."""
    module = tmp_path / "reservation_worker" / "__init__.py"
    module.parent.mkdir()
    module.write_text("OLD = True\n")
    (tmp_path / "large.bin").write_text("not needed to run the worker")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "m")
    module.write_text("OLD = False\n")
    return tmp_path


def test_a_revision_runs_with_its_own_code_and_is_gone_afterwards(tree: Path) -> None:
    with revision("HEAD", tree) as contestant:
        place = Path(contestant.env["PYTHONPATH"])
        assert [one.name for one in place.iterdir()] == ["reservation_worker"]
        assert (place / "reservation_worker/__init__.py").read_text() == "OLD = True\n"
    assert not place.exists()


def test_an_unknown_revision_is_named(tree: Path) -> None:
    with pytest.raises(RevisionError, match="no-such-revision"), revision("no-such-revision", tree):
        pass


def test_an_unknown_revision_ends_the_bench_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--compare", "no-such-revision"]) == 2
    assert "no-such-revision" in capsys.readouterr().err


def test_the_ratio_is_taken_within_each_round() -> None:
    # The second round was three times as slow for both: that is the machine, not the code.
    costs = {"row": [(1.0, 0.9), (3.0, 2.4), (1.0, 1.1)]}
    assert comparison_table("v1", costs).splitlines() == [
        "| CPU ms/event | v1 | working tree | ratio | range of the ratio |",
        "|---|---|---|---|---|",
        "| row | 1 | 1.1 | 0.900 | 0.800 to 1.100 |",
    ]


def test_the_rows_compared_are_measured_ones() -> None:
    assert set(compare.COMPARED) <= {row.name for row in compare.ROWS}
