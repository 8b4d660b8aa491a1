"""What becomes of a port that can't be had: one sentence, the same for every server."""

from collections.abc import Iterator
from contextlib import contextmanager

from reservation_worker.errors import OperationError


@contextmanager
def listening(server: str, host: str, port: int) -> Iterator[None]:
    """Within it an OSError becomes an OperationError that names the variables of `server`."""
    try:
        yield
    except OSError as error:
        raise OperationError(
            f"{server}_HOST {host} and {server}_PORT {port} can't be listened on: {error}"
        ) from error
