"""Help, suggestions, completion and platforms of the command line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reservation_worker.cli import main as cli
from tests.deploy.tools import need

ROOT = Path(__file__).parents[3]
DLQ_VERBS = [
    f"dlq {name}"
    for name in ("list", "show", "redrive", "resolve", "export", "import", "purge", "compensations")
]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed to stderr for wrong usage."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        ("docter", "doctor"),
        ("doctor --jsn", "--json"),
        ("doctor --manifests=a.yaml", "--manifest"),
        ("dlq lst", "list"),
        ("dlq redrive --dryrun", "--dry-run"),
        ("publish --variant flatt", "flat"),
        ("publish --type exprd", "expired"),
    ],
)
def test_a_mistyped_verb_option_or_choice_gets_the_nearest_one_suggested(
    capsys: pytest.CaptureFixture[str], arguments: str, suggestion: str
) -> None:
    error = refused(capsys, *arguments.split())
    assert error.endswith(f": did you mean {suggestion}?\n")


def test_no_suggestion_is_made_for_a_word_unlike_all_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "did you mean" not in refused(capsys, "xyzzy")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("publish --seed x", "'x' is not a whole number"),
        ("demo --seed x", "'x' is not a whole number"),
        ("demo --events 0", "'0' is not a whole number from 1 to 9999999"),
        ("demo --latency-ms nan", "'nan' is not a number of ms from 0 to 5000"),
        ("dlq resolve f --id x --note \t", "is not a text: why the letters are closed"),
    ],
)
def test_a_wrong_value_is_answered_with_the_expected_form(
    capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    error = refused(capsys, *arguments.split(" "))
    assert expected in error


def test_an_unknown_option_is_answered_with_the_usage_of_its_own_verb(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = refused(capsys, "doctor", "--jsn")
    assert error.startswith("usage: reservation-worker doctor ")


@pytest.mark.parametrize("verb", ["", *(verb.NAME for verb in cli.VERBS), *DLQ_VERBS])
def test_every_help_lists_the_exit_codes_in_a_paragraph(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*verb.split(), "--help"])
    assert "\n\nExit codes: 0 " in capsys.readouterr().out


def test_windows_is_refused_in_a_sentence_before_anything_fails_to_import() -> None:
    code = "import sys; sys.platform = 'win32'; import reservation_worker.cli.main"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("reservation-worker runs on Linux")
    assert ended.stderr.count("\n") == 1


def ended_of(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command line of sh in which $0 is the program."""
    program = [sys.executable, "-m", "reservation_worker"]
    return subprocess.run(
        ["sh", "-c", command.replace("$0", '"$@"'), "sh", *program],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("verb", ["--help", "config --example", "publish --dry-run"])
def test_output_that_can_not_be_written_is_an_error_in_one_line(verb: str) -> None:
    ended = ended_of(f"$0 {verb} > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr == (
        "reservation-worker: the output can't be written: No space left on device\n"
    )


def test_a_closed_stdin_is_an_error_in_one_line() -> None:
    ended = ended_of("$0 publish --dry-run --file - <&-")
    assert (ended.returncode, ended.stderr) == (
        1,
        "reservation-worker: stdin can't be read: it is closed\n",
    )


def test_a_ctrl_c_while_the_modules_are_imported_ends_it_without_a_traceback(
    tmp_path: Path,
) -> None:
    # Found before the real module.
    (tmp_path / "shadow.py").write_text(
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'reservation_worker.cli.main':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
    )
    code = "import shadow, sys; from reservation_worker.__main__ import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "")


# Completion, in the shells themselves.

COMPLETE_IN_BASH = """\
source "$0"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_reservation_worker reservation-worker "${COMP_WORDS[COMP_CWORD]}"
echo "${COMPREPLY[@]}"
"""
WORDS = [
    ("doc", ["doctor"]),
    ("doctor --m", ["--manifest"]),
    ("dlq redrive --dr", ["--dry-run"]),
    ("publish --variant nes", ["nested"]),
    ("dlq import setup.c", ["setup.cfg"]),
]


def script(shell: str, capsys: pytest.CaptureFixture[str], directory: Path) -> Path:
    assert cli.main(["completion", shell]) == 0
    file = directory / shell
    file.write_text(capsys.readouterr().out)
    return file


def output(*command: str | Path, **environ: str) -> list[str]:
    need(str(command[0]))
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.split()


def test_bash_completes_verbs_options_choices_and_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = script("bash", capsys, tmp_path)
    for words, found in WORDS:
        arguments = ("reservation-worker", *words.split())
        assert output("bash", "--norc", "-c", COMPLETE_IN_BASH, file, *arguments) == found


def test_fish_completes_verbs_options_choices_and_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = script("fish", capsys, tmp_path)
    for words, found in WORDS:
        code = f"source {file}; complete -C 'reservation-worker {words}' | cut -f1"
        assert output("fish", "--no-config", "-c", code, HOME=str(tmp_path)) == found


def test_zsh_accepts_its_completion_script(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert output("zsh", "-n", script("zsh", capsys, tmp_path)) == []


# make help.


def test_make_help_has_no_escapes_in_a_pipe() -> None:
    # Under `make test` make would add the directories that it enters.
    words = output("env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "help")
    assert words[:4] == ["help", "Show", "this", "list"]


# Installation.


def test_no_text_installs_our_name_from_pypi_where_anybody_could_register_it() -> None:
    texts = [*(ROOT / "reservation_worker").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    texts += [ROOT / "README.md", ROOT / "Makefile"]
    install = re.compile(r"pip install [^\n]*reservation[-_]worker")
    assert [str(one) for one in texts if install.search(one.read_text())] == []
