"""argparse with a suggestion for a mistyped verb, option or choice."""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a description or epilog by itself."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(one, width, indent) for one in text.strip().split("\n\n"))


class Parser(argparse.ArgumentParser):
    """The program's parser and, because sub-parsers have their parent's class, every verb's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": Paragraphs} | options)

    def add_exit_codes(self, text: str) -> None:
        """End the help with `text`, and that of every sub-verb."""
        self.epilog = f"{self.epilog or ''}\n\n{text}"
        for action in self._actions:  # argparse has no public way
            if isinstance(action, argparse._SubParsersAction):
                for child in action.choices.values():
                    child.add_exit_codes(text)

    def parse_known_args(  # type: ignore[override]  # argparse's is overloaded by namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Exits with 2 at an argument that is left over: with the usage of its own verb."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            options = (one for action in self._actions for one in action.option_strings)
            self.error(f"unrecognized arguments: {' '.join(left)}{did_you_mean(left[0], options)}")
        return parsed, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            text = f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}"
            raise argparse.ArgumentError(action, text)


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """The end of an error message: the name most like `text`, or nothing."""
    near = difflib.get_close_matches(text.partition("=")[0], list(names), 1)
    return f": did you mean {near[0]}?" if near else ""
