"""The states of many reservations from reservation-api: a few calls at once, one for each."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from reservation_worker.cli import terminal, worker_http
from reservation_worker.clients.ports import Reservation
from reservation_worker.clients.reservation import error_code, read_reservation
from reservation_worker.config.settings import Settings
from reservation_worker.config.token import TokenFile, bearer
from reservation_worker.errors import OperationError, TransientError

_PARALLEL = 8
_LONGEST = 5.0
"""The most seconds of one call: a person waits."""
_PATIENCE = 10
"""After so many failures in a row the other reservations are not asked for."""


@dataclass(frozen=True, slots=True)
class State:
    """A reservation now (None: reservation-api does not know it), or the error of the call."""

    reservation: Reservation | None
    error: str | None = None


def ask(
    settings: Settings, ids: Iterable[str | None], check: Callable[[], None] = lambda: None
) -> Mapping[str | None, State]:
    """The states by id, each asked for once, without None; `check` may raise to end it."""
    base = settings.reservation_api_base
    longest = min(settings.call_timeout, _LONGEST)
    file = settings.reservation_api_token_file
    token = TokenFile(file) if file else None
    failures: list[str] = []

    def get(one: str) -> State:
        if len(last := list(failures)) >= _PATIENCE:
            return State(None, last[0])
        try:
            headers = bearer(token.current()) if token else {}
            url = f"{base}/internal/reservations/{one}"
            answer = worker_http.get(url, longest, headers)
            if answer.status == 404 and error_code(answer) != "RESERVATION_NOT_FOUND":
                # Another server, or a gateway. To the worker's PATCH it is an outage, too.
                raise OperationError(f"{url} answers 404 without RESERVATION_NOT_FOUND")
            found = State(read_reservation(answer))
        except (OperationError, TransientError) as error:
            failures.append(str(error))
            return State(None, str(error))
        failures.clear()
        return found

    known = {one for one in ids if one is not None}
    pool = ThreadPoolExecutor(_PARALLEL, "ask")
    try:
        asked = {pool.submit(get, one): one for one in known}
        states: dict[str | None, State] = {}
        with terminal.progress("asking reservation-api", "asked", len(known)) as bar:
            for future in as_completed(asked):
                check()
                states[asked[future]] = future.result()
                bar(advance=1)
        return states
    finally:
        pool.shutdown(cancel_futures=True)
