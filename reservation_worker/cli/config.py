"""The verb `config`: shows the settings in force and the source of each."""

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reservation_worker.config.variables import VARIABLES, Variable

if TYPE_CHECKING:
    from reservation_worker.config.settings import Settings

NAME = "config"
HELP = "Check the configuration and show it, secrets hidden."

ENV_HEADER = """\
# Copy to .env (or .env.local, which wins over .env) and set what you need. Lines with a # show the
# defaults. The process environment wins over both files, and the AWS secret over all.
"""
ENV_FOOTER = """\
# boto3's own, for an emulator of AWS; the second is for SQS only and wins.
# AWS_ENDPOINT_URL=http://localhost:4566
# AWS_ENDPOINT_URL_SQS=http://localhost:4566
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The output's form; the last two list all variables and read no configuration."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--example", action="store_true", help="print .env.example")
    form.add_argument("--markdown", action="store_true", help="print the README's table")


def run(args: argparse.Namespace) -> int:
    """Print it. Raises ConfigurationError with every problem of a wrong configuration."""
    if args.example:
        print(env_example(VARIABLES), end="")
        return 0
    if args.markdown:
        print(markdown(VARIABLES), end="")
        return 0

    from reservation_worker.config.sources import survey  # noqa: PLC0415

    found = survey()
    settings = found.settings()
    for warning in found.warnings:
        print(warning, file=sys.stderr)
    print(json.dumps(settings.explained(), indent=2) if args.json else as_table(settings))
    return 0


def as_table(settings: "Settings") -> str:
    """Aligned lines of name, value ("-" if unset) and source."""
    rows = [("NAME", "VALUE", "SOURCE")]
    rows += [(n, v or "-", settings.source_of(n)) for n, v in settings.redacted().items()]
    name, value = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{row[0]:<{name}}  {row[1]:<{value}}  {row[2]}" for row in rows)


def env_example(variables: Iterable[Variable]) -> str:
    """The text of .env.example: each variable under its description."""
    blocks = [ENV_HEADER]
    for variable in variables:
        comment = "" if variable.required else "# "
        note = " (required)" if variable.required else ""
        blocks.append(
            f"# {variable.description}{note}\n{comment}{variable.name}={variable.default}\n"
        )
    return "\n".join([*blocks, ENV_FOOTER])


def markdown(variables: Iterable[Variable]) -> str:
    """The README's table."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for variable in variables:
        default = f"`{variable.default}`" if variable.default else "-"
        default = "required" if variable.required else default
        lines.append(f"| `{variable.name}` | {default} | {variable.description} |")
    return "\n".join(lines) + "\n"
