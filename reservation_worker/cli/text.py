"""Text of messages for a person's terminal and spreadsheet: nothing in it may act."""

from collections.abc import Sequence

# A spreadsheet takes a cell that begins so for a formula; the last four are full-width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def visible(text: str, keep: str = "") -> str:
    """`text` with every control, invisible and bidi character escaped, but those of `keep`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


def short(text: str, longest: int) -> str:
    """`visible` on one line of at most `longest` characters."""
    shown = visible(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def cell(text: str) -> str:
    """`visible`, and no formula to a spreadsheet: an apostrophe in front makes it text."""
    return f"'{visible(text)}" if text.lstrip(" ").startswith(_FORMULA) else visible(text)


def plural(count: int, noun: str) -> str:
    """ "1 message", "2 messages"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def first(lines: Sequence[str], most: int = 20) -> list[str]:
    """At most `most` of the lines, and how many more there are."""
    more = len(lines) - most
    return [*lines[:most], f"and {more} more"] if more > 0 else list(lines)
