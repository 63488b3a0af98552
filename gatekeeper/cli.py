"""From argv to one command, loaded by name, and the one place that turns errors into exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import NoReturn

from gatekeeper import __version__
from gatekeeper.errors import GateError

# Each command is a module of this name in gatekeeper.commands, with one function of the same name.
COMMANDS = {
    "audit": "tell whether a log of changes is as it was written",
    "check": "judge files, folders or a whole repository",
    "config": "print the JSON Schemas of configuration files",
    "controller": "keep a cluster as Git says, if the gate accepts it",
    "doctor": "tell what is installed, what lacks, and what for",
    "graph": "print what names what, and whether it is there",
    "init": "make a GitOps repository, or put the gate into one",
    "keys": "make and list keys for sealing",
    "merge": "join the reports of several shares into one verdict",
    "migrate": "rewrite ExternalSecrets of old API versions",
    "policy": "list and document the rules of the library, test rules",
    "reconcile": "apply what Flux Kustomizations say, or tell what that would change",
    "render": "print what the cluster would get",
    "reseal": "seal SealedSecrets for another certificate",
    "seal": "seal Secrets, as kubeseal does",
    "sops": "encrypt, open and change SOPS files, many at once",
    "sync": "read what ExternalSecrets ask for, and write it into a cluster",
    "unseal": "open SealedSecrets with private keys",
    "tools": "show, build, verify and pin the outside programs",
}
HELP = """usage: gatekeeper COMMAND [OPTION ...]

One verdict on a GitOps repository: policies, schemas, secrets and rendering.

commands:
{commands}

  gatekeeper COMMAND --help tells more of each; gatekeeper --version prints the version.

examples:
  gatekeeper check                      judge the repository around this folder
  gatekeeper check --format json apps/  judge one folder, for a machine to read
  gatekeeper render clusters/prod       what would be applied from there
  gatekeeper policy list                the rules that come with gatekeeper

exit status: 0 accepted, 1 refused, 2 wrong usage or configuration, 3 could not judge all of it
"""


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        lines = (f"  {name:<10} {about}" for name, about in COMMANDS.items())
        sys.stdout.write(HELP.format(commands="\n".join(lines)))
        return 0 if arguments else 2
    name = arguments[0]
    if name == "--version":
        sys.stdout.write(f"gatekeeper {__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"gatekeeper: no command `{name}`; there are {', '.join(COMMANDS)}\n")
        return 2
    command = getattr(importlib.import_module(f"gatekeeper.commands.{name}"), name)
    try:
        return int(command(arguments[1:]))
    except GateError as error:
        sys.stderr.write(f"gatekeeper: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"gatekeeper: {where}{error.strerror or error}\n")
        return 3


def _format_crash(error: Exception) -> str:
    """A fault of the program itself: where, but not with which words, for those may repeat what is secret."""
    # Only a crash needs them; every run would wait for them to load.
    import traceback
    from pathlib import Path

    frames = traceback.extract_tb(error.__traceback__)
    way = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return (
        f"gatekeeper: a fault of its own, {type(error).__name__} at {way}: no verdict. "
        f"Please report these words with version {__version__}; `--jobs 1` on fewer PATHs may get around it.\n"
    )


def entry() -> NoReturn:
    """The program: never a traceback for what a user can cause."""
    # What a run makes lives until its end: a collector would look through all of it, again and again, for nothing.
    gc.disable()
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # The reader has gone; point the descriptor elsewhere so that the interpreter's own flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 3
    except Exception as error:
        sys.stderr.write(_format_crash(error))
        status = 3
    sys.stderr.flush()
    # Nothing is left to do; taking ten thousand objects apart one by one would take a tenth of the run.
    os._exit(status)
