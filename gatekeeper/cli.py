"""The command line: runs one command by its name, and turns errors into exit statuses."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
from typing import NoReturn

from gatekeeper import __version__
from gatekeeper.errors import GatekeeperError

# Each command is a module of this name in gatekeeper.commands, with one function of the same name.
COMMANDS = {
    "audit": "verify and show the audit log of the controller",
    "check": "check files, folders or a whole repository",
    "config": "print the JSON Schemas of configuration files",
    "controller": "reconcile a cluster with Git, through the gate",
    "doctor": "check the installation and this repository's requirements",
    "fetch": "fetch and lock charts that come from elsewhere",
    "graph": "print references between objects, and which are missing",
    "init": "create a GitOps repository, or add the gate to one",
    "keys": "create and list keys for sealing",
    "merge": "merge the reports of several shards into one verdict",
    "migrate": "rewrite ExternalSecrets with old API versions",
    "policy": "list, document and test policies, fetch policy bundles",
    "reconcile": "apply Flux Kustomizations once, or show what would change",
    "render": "print the objects that the cluster would get",
    "reseal": "seal SealedSecrets again, for another certificate",
    "seal": "seal Secrets, as kubeseal does",
    "sops": "encrypt, decrypt and change many SOPS files in parallel",
    "sync": "sync ExternalSecrets from their stores into a cluster",
    "unseal": "unseal SealedSecrets with private keys",
    "tools": "list, build, verify and pin the external programs",
}
HELP = """usage: gatekeeper COMMAND [OPTION ...]

One verdict on a GitOps repository: policies, schemas, secrets and rendering.

commands:
{commands}

  gatekeeper COMMAND --help explains a command; gatekeeper --version prints the version.

examples:
  gatekeeper check                      check the repository that contains this folder
  gatekeeper check --format json apps/  check one folder, with a report as JSON
  gatekeeper render clusters/prod       print the objects that would be applied from there
  gatekeeper policy list                list the rules that come with gatekeeper

exit status: 0 accepted, 1 refused, 2 wrong usage or configuration, 3 something could not be checked
"""


def main(arguments: list[str]) -> int:
    """Runs one command, and returns its exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        lines = (f"  {name:<10} {about}" for name, about in COMMANDS.items())
        sys.stdout.write(HELP.format(commands="\n".join(lines)))
        return 0 if arguments else 2
    name = arguments[0]
    if name == "--version":
        sys.stdout.write(f"gatekeeper {__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"gatekeeper: unknown command `{name}`; commands are {', '.join(COMMANDS)}\n")
        return 2
    command = getattr(importlib.import_module(f"gatekeeper.commands.{name}"), name)
    try:
        return int(command(arguments[1:]))
    except GatekeeperError as error:
        sys.stderr.write(f"gatekeeper: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        if not error.filename and error.errno == errno.ENOENT:
            sys.stderr.write("gatekeeper: the current folder does not exist any more; change to another folder\n")
            return 2
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"gatekeeper: {where}{error.strerror or error}\n")
        return 3


def _format_crash(error: Exception, command: str) -> str:
    """A message about a bug: its type and location, without the text of the exception, which may hold a secret."""
    # Only a crash needs them; every run would wait for them to load.
    import traceback
    from pathlib import Path

    frames = traceback.extract_tb(error.__traceback__)
    location = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    message = f"gatekeeper: internal error, {type(error).__name__} at {location}"
    verdict, advice = (": no verdict", "; `--jobs 1` on fewer PATHs may avoid it") if command == "check" else ("", "")
    return f"{message}{verdict}. Please report this message with version {__version__}{advice}.\n"


def _open_standard_streams() -> None:
    """Replaces closed streams by ones that discard, and escapes what a terminal cannot show.

    The next file to be opened would otherwise take the number of a closed stream, and receive what is written to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free number is the one that is missing.
            os.open(os.devnull, os.O_RDWR)
            stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
        if number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def entry() -> NoReturn:
    """The program `gatekeeper`; an error never prints a traceback."""
    _open_standard_streams()
    # Objects of a run live until its end: the garbage collector would scan them again and again for nothing.
    gc.disable()
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # The reader has closed the pipe; the flush of the interpreter must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 3
    except Exception as error:
        sys.stderr.write(_format_crash(error, sys.argv[1] if len(sys.argv) > 1 else ""))
        status = 3
    sys.stderr.flush()
    # Nothing is left to do, and freeing ten thousand objects one by one would take a tenth of the run.
    os._exit(status)
