"""The verb `doctor`: reports why the worker does not work. It touches no message."""

import argparse
import logging
import os
from pathlib import Path

NAME = "doctor"
HELP = "Check configuration, AWS, neighbours and this machine; report how to mend each problem."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Manifests to compare with, and the output's form."""
    parser.add_argument(
        "--manifest",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="rendered manifests to compare with, such as the output of kubectl kustomize"
        " k8s/deploy/production; -: stdin; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run the checks: 0, or 1 if one failed. Takes less than a minute even if all hang."""
    # Must be set before grpc is imported, whose core writes to stderr past any logger.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # The table explains each failure; the libraries' log lines would only repeat it.
    logging.getLogger().addHandler(logging.NullHandler())
    from reservation_worker.config.sources import survey  # noqa: PLC0415

    # Removes variables that the libraries would refuse while they are imported.
    surveyed = survey()
    from reservation_worker.cli.doctor.result import CheckStatus, as_json, show  # noqa: PLC0415
    from reservation_worker.cli.doctor.runner import run_checks  # noqa: PLC0415

    rows = run_checks(surveyed, args.manifest)
    if args.json:
        print(as_json(rows))
    else:
        show(rows)
    return int(any(row.status is CheckStatus.FAILURE for row in rows))
