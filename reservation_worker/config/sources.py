"""Gathers the settings: process environment, .env.local, .env and the secret.

Precedence: secret, process environment, .env.local, .env. An empty value is unset in each of them,
so a lower one shows through. settings.py defines the values.
"""

import difflib
import io
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

from reservation_worker.config import libraries
from reservation_worker.config.secret import SECRET_KEYS, read_secret
from reservation_worker.config.settings import Settings, inspect
from reservation_worker.config.token import TokenFile
from reservation_worker.config.variables import VARIABLES
from reservation_worker.errors import ConfigurationError

# boto3, OpenTelemetry, gRPC and OpenSSL read these from the process environment themselves.
READ_BY_LIBRARIES = ("AWS_", "OTEL_", "GRPC_", "SSL_CERT_")


@dataclass(frozen=True, slots=True)
class Survey:
    """The settings found and the problems with them.

    `known` has the valid values by field of Settings, without those from a secret that could not
    be read. `warnings` are sentences on oddities that do not stop the worker.
    """

    values: Mapping[str, str]
    sources: Mapping[str, str]
    known: Mapping[str, Any]
    problems: list[str]
    warnings: Sequence[str] = ()

    def settings(self) -> Settings:
        """The settings in force. Raises ConfigurationError with every problem at once."""
        if self.problems:
            raise ConfigurationError(self.problems)
        return Settings.from_mapping(self.values, self.sources)


def survey(
    environ: MutableMapping[str, str] = os.environ,
    directory: Path = Path("."),
    given: Mapping[str, str] = MappingProxyType({}),
    *,
    unattended: bool = False,
) -> Survey:
    """The settings for `environ` and the .env files of `directory`; valid ones can be used alone.

    `given` are values from a verb's options, by variable name: they win over everything.
    Prepares `environ` for the libraries: adds their variables from the files, and removes those
    that are empty, wrong or reserved to the worker.

    `unattended`: nobody can answer a credential_process's prompt, so the read of the secret is
    bounded.
    """
    problems: list[str] = []
    values, sources = gather(environ, directory, problems)
    _share_with_libraries(values, sources, environ, problems)
    # A file must not set the name of this machine.
    values["HOSTNAME"] = environ.get("HOSTNAME", "").strip() or socket.gethostname()
    options = dict.fromkeys(given, "option")
    values |= given
    sources |= options

    # A wrong USE_SECRET_MANAGER is not in `parsed`; the secret may be wanted then.
    parsed, wrong = inspect(values, sources)
    unread: set[str] = set()
    if parsed.get("use_secret_manager", True):
        try:
            secret = read_secret(parsed, wrong, bool(problems), unattended=unattended)
        except ConfigurationError as error:
            # The values in the secret can't be checked; the others can.
            problems += error.problems
            unread.update(SECRET_KEYS.values())
            values = {name: text for name, text in values.items() if name not in unread}
        else:
            values.update(secret | dict(given))
            sources.update(dict.fromkeys(secret, "secret") | options)
        parsed, wrong = inspect(values, sources)
    problems += [text for name, text in wrong.items() if name not in unread]
    hidden = {variable.field for variable in VARIABLES if variable.name in unread}
    if token_file := parsed.get("reservation_api_token_file"):
        try:
            TokenFile(token_file)
        except ConfigurationError as error:
            problems += error.problems
            hidden.add("reservation_api_token_file")
    known = {name: value for name, value in parsed.items() if name not in hidden}
    return Survey(values, sources, known, problems, _misspelt(sources))


def gather(
    environ: Mapping[str, str], directory: Path, problems: list[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Values of `environ` and the .env files, and the source of each; appends to `problems`."""
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source in (".env", ".env.local", "environment"):
        layer = (
            environ
            if source == "environment"
            else _read_file(directory / source, problems, values, environ)
        )
        filled = {name: text.strip() for name, text in layer.items() if text.strip()}
        values.update(filled)
        sources.update(dict.fromkeys(filled, source))
    return values, sources


def _read_file(
    path: Path, problems: list[str], lower: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, str]:
    """The variables of one .env file, none if it does not exist; appends to `problems`.

    ${NAME} and ${NAME:-default} are expanded as python-dotenv does it; `environ` wins over this
    file so far, and that over `lower`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror}): make it readable or remove it.")
        return {}
    except UnicodeDecodeError as error:
        problems.append(f"{path} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8.")
        return {}
    found: dict[str, str] = {}
    # dotenv_values() is this loop, but only logs a line that it cannot read, and skips it.
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is not None and binding.value is not None:
            known = {**lower, **found, **environ}
            atoms = parse_variables(binding.value)
            found[binding.key] = "".join(atom.resolve(known) for atom in atoms)
        elif binding.error or binding.key is not None:
            source = binding.original.string
            blank = source[: len(source) - len(source.lstrip())]
            # The line itself stays out of the message: it may be half a password.
            problems.append(
                f"{path} line {binding.original.line + blank.count(chr(10))} is not NAME=value: "
                "correct it, or remove it."
            )
    return found


def _share_with_libraries(
    values: Mapping[str, str],
    sources: Mapping[str, str],
    environ: MutableMapping[str, str],
    problems: list[str],
) -> None:
    for name in [name for name in environ if name.startswith(READ_BY_LIBRARIES)]:
        if not environ[name].strip():
            # boto3 takes an empty AWS_PROFILE for a profile without a name, and fails.
            del environ[name]
    for name, text in values.items():
        if name.startswith(READ_BY_LIBRARIES) and environ.get(name) != text:
            try:
                environ[name] = text
            except ValueError:  # a NUL, or a = in the name
                problems.append(
                    f"{name!r} in {sources[name]} cannot be an environment variable: remove its "
                    "control characters."
                )
    libraries.drop_reserved(environ)
    problems += libraries.drop_wrong(environ, sources)
    libraries.share_certificates(environ)


def _misspelt(sources: Mapping[str, str]) -> list[str]:
    """A sentence on each name in a .env file that resembles one of ours.

    The process environment holds other programs' names too; a .env file is written for the worker.
    """
    ours = [variable.name for variable in VARIABLES]
    found = []
    for name, source in sources.items():
        if name in ours or not source.startswith(".env"):
            continue
        # Libraries have similar names: only a typing error may match.
        cutoff = 0.93 if name.startswith(READ_BY_LIBRARIES) else 0.8
        if near := difflib.get_close_matches(name.upper(), ours, 1, cutoff):
            found.append(f"{name} in {source} is not read: did you mean {near[0]}?")
    return found
