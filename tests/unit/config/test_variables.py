"""The table of variables, and the files that follow it."""

import dataclasses
from pathlib import Path

from reservation_worker.cli.config import env_example, markdown
from reservation_worker.config.settings import Settings
from reservation_worker.config.variables import VARIABLES
from tests.unit.config.example import NAMES, QUEUE, settings

ROOT = Path(__file__).parents[3]


def test_the_example_file_is_the_table() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == env_example(VARIABLES)


def test_the_example_file_names_every_variable_once_and_its_defaults_parse() -> None:
    pairs = [
        line.removeprefix("# ").split("=", 1)
        for line in (ROOT / ".env.example").read_text("utf-8").splitlines()
        if line.removeprefix("# ").split("=")[0].replace("_", "").isupper()
    ]
    boto3s = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"}
    assert [name for name, _ in pairs if name not in boto3s] == NAMES
    assert {name for name, _ in pairs} > boto3s
    values = {name: value for name, value in pairs if name not in boto3s}
    assert Settings.from_mapping(values | {"SQS_QUEUE_URL": QUEUE}) == settings()


def test_the_markdown_table_has_a_row_for_every_variable() -> None:
    rows = markdown(VARIABLES).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == NAMES
    assert all(row.count("|") == 4 for row in rows)


def test_the_table_and_the_fields_of_settings_are_the_same() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert [variable.field for variable in VARIABLES] == fields[:-1]
    assert fields[-1] == "sources"
