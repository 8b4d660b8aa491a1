"""Runs all checks at once, each on its own thread: none delays or stops another."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from reservation_worker.cli import terminal
from reservation_worker.cli.doctor import (
    collector,
    credentials,
    eventbridge,
    inventory,
    machine,
    manifests,
    queue,
    reservation_api,
)
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown, warning
from reservation_worker.cli.text import visible
from reservation_worker.config import sources
from reservation_worker.config.redaction import HIDDEN, Redactor
from reservation_worker.config.variables import VARIABLES

LIMIT = 20.0
"""How long all checks together may take, in seconds; reading the secret before them: 35 at most."""

_PIECES, _SHORTEST = re.compile(r"[/:@\[\]]+"), 5
"""Where an address is split; up to this length a piece (http, a port) is not a secret."""


@dataclass(frozen=True, slots=True)
class Check:
    """Runs by itself; `needs` are the fields of Settings that it reads."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[Known], list[CheckResult]]


CHECKS = (
    Check(credentials.NAME, ("aws_region",), credentials.credentials),
    Check(queue.NAME, ("sqs_queue_url", "sqs_region"), queue.queue),
    Check(eventbridge.NAME, ("sqs_queue_url", "sqs_region"), eventbridge.eventbridge),
    Check(inventory.NAME, ("inventory_grpc_addr", "inventory_grpc_tls"), inventory.inventory),
    Check(
        reservation_api.NAME,
        ("reservation_api_base", "reservation_api_token_file"),
        reservation_api.reservation_api,
    ),
    Check(
        collector.NAME,
        ("otel_endpoint", "otel_traces_endpoint", "otel_traces_insecure", "otel_traces_exporter"),
        collector.traces,
    ),
    Check("SERVER_PORT", ("server_host", "server_port"), partial(machine.port, "SERVER")),
    Check(
        "GRPC_DEBUG_PORT",
        ("grpc_debug_host", "grpc_debug_port"),
        partial(machine.port, "GRPC_DEBUG"),
    ),
    Check("memory", ("worker_concurrency",), machine.memory),
)


def run_checks(
    survey: sources.Survey, files: list[Path], limit: float = LIMIT
) -> list[CheckResult]:
    """All results in the order of the checks, without secrets and control characters."""
    checks = [*CHECKS]
    if files:
        needs = ("sqs_queue_url", "sqs_region")
        checks.append(Check(manifests.NAME, needs, partial(manifests.compare, files)))
    rows = [*configuration(survey), *_run(checks, survey.known, limit)]
    clean = _cleaner(survey)
    return [
        replace(row, check=_plain(row.check), detail=clean(row.detail), advice=clean(row.advice))
        for row in rows
    ]


def configuration(survey: sources.Survey) -> list[CheckResult]:
    """A result for each warning and problem, or one that names the settings' sources."""
    # Their sentences contain the advice.
    rows = [warning("configuration", text, "") for text in survey.warnings]
    rows += [failure("configuration", problem, "") for problem in survey.problems]
    if rows:
        return rows
    names = {variable.name for variable in VARIABLES}
    places = {place for name, place in survey.sources.items() if name in names}
    return [ok("configuration", f"valid; set in: {', '.join(sorted(places))}")]


def _run(checks: list[Check], known: Known, limit: float) -> Iterator[CheckResult]:
    answers: SimpleQueue[tuple[str, list[CheckResult]]] = SimpleQueue()

    def run(check: Check) -> None:
        try:
            rows = check.run(known)
        except Exception as error:  # an error in one check must not stop the others
            text = f"the check itself failed: {type(error).__name__}: {error}"
            rows = [unknown(check.name, text, "report this as a fault of doctor")]
        answers.put((check.name, rows))

    found: dict[str, list[CheckResult]] = {}
    for check in checks:
        if missing := [name for name in check.needs if name not in known]:
            names = ", ".join(v.name for v in VARIABLES if v.field in missing)
            advice = f"correct the configuration first: {names}"
            found[check.name] = [unknown(check.name, "not checked", advice)]
        else:
            # Daemon threads, because a hanging name server must not delay the exit.
            threading.Thread(target=run, args=(check,), name=check.name, daemon=True).start()
    deadline = time.monotonic() + limit
    with terminal.progress("checking", "checks", len(checks)) as bar:
        while len(found) < len(checks) and (left := deadline - time.monotonic()) > 0:
            try:
                name, rows = answers.get(timeout=left)
            except Empty:
                break
            found[name] = rows
            bar(completed=len(found))
    for check in checks:
        late = unknown(
            check.name, f"no answer within {limit:g} s", "check the name servers and the network"
        )
        yield from found.get(check.name, [late])


def _cleaner(survey: sources.Survey) -> Callable[[str], str]:
    """Hides secrets, and all values that come from the AWS secret, as `config` does."""
    redact = Redactor(os.environ)
    given = [survey.values[name] for name, place in survey.sources.items() if place == "secret"]
    pieces = {piece for text in given for piece in _PIECES.split(text) if len(piece) > _SHORTEST}
    ordered = sorted(pieces, key=len, reverse=True)
    hidden = re.compile("|".join(map(re.escape, ordered)) or r"(?!)")
    return lambda text: _plain(hidden.sub(HIDDEN, redact(text)))


def _plain(text: str) -> str:
    """One line without control characters, because it may quote a neighbour."""
    return visible(" ".join(text.split()))
