"""Events from a file of JSON Lines, all of them checked before the first is sent."""

from reservation_worker.cli.publish.targets import Entry, Target
from reservation_worker.errors import InvalidEvent, OperationError
from reservation_worker.events.parse import parse

_SHOWN = 20


def entries(content: bytes, target: Target, force: bool = False) -> list[Entry]:
    """An entry for each line that is not blank.

    Raises OperationError that names each wrong line. With `force` a line is wrong only if it
    can't be sent: not UTF-8, too large, or not an event for a bus.
    """
    found: list[Entry] = []
    problems: list[str] = []
    # By line feed alone: JSON may hold the other separators as they are.
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_entry(line, target, force))
        except InvalidEvent as error:
            problems.append(f"  line {number}: {error}")
    if problems:
        more = len(problems) - _SHOWN
        shown = problems[:_SHOWN] + [f"  and {more} more"] * (more > 0)
        text = "\n".join(shown)
        hint = "" if force else " (--force sends what the worker will not understand)"
        verb = "is" if len(problems) == 1 else "are"
        raise OperationError(
            f"{len(problems)} of {len(problems) + len(found)} lines {verb} wrong, and nothing was "
            f"sent{hint}:\n{text}"
        )
    return found


def _entry(line: bytes, target: Target, force: bool) -> Entry:
    try:
        body = line.strip().decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"it is not UTF-8 (byte {error.start + 1})") from None
    if not force:
        parse(body)
    entry = target.entry(body)
    size = target.size(entry)
    if size > target.most_bytes:
        raise InvalidEvent(f"it has {size} bytes, and at most {target.most_bytes} can be sent")
    return entry
