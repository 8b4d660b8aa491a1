"""The verb `completion`: prints the script by which a shell completes verbs and options."""

import argparse

NAME = "completion"
HELP = "Print the completion script of a shell."
EPILOG = """\
bash:  reservation-worker completion bash > ~/.local/share/bash-completion/completions/reservation-worker
zsh:   reservation-worker completion zsh > DIRECTORY/_reservation-worker, a directory of $fpath
fish:  reservation-worker completion fish > ~/.config/fish/completions/reservation-worker.fish
"""  # noqa: E501 -- a command to copy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell to complete in")


def run(args: argparse.Namespace) -> int:
    """Print the script; it is made from the parser itself, so it knows every verb and option."""
    import shtab  # noqa: PLC0415

    from reservation_worker.cli.main import make_parser  # noqa: PLC0415

    parser = make_parser()
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Let each argument that is a FILE, the sub-verbs' included, be completed by file names."""
    for action in parser._actions:  # argparse has no public way
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _complete_files(child, files)
        elif action.metavar == "FILE":
            setattr(action, "complete", files)  # noqa: B010 -- where shtab looks; argparse has none
