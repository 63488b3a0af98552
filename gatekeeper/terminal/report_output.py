"""Writing of reports: to standard output, or to the file that `--format FORMAT=FILE` names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.host import atomic_file
from gatekeeper.model import Verdict
from gatekeeper.report.formats import REPORT_FORMATS, render_report


def parse_output(text: str) -> tuple[str, Path | None]:
    """Parses `NAME` or `NAME=FILE` into the name of a report format and the file, None for standard output.

    Raises:
        UsageError: there is no such format.
    """
    name, _, file = text.partition("=")
    if name not in REPORT_FORMATS:
        raise UsageError(f"--format {name}: unknown format; choose from {', '.join(REPORT_FORMATS)}")
    return name, Path(file) if file else None


def write_report(verdict: Verdict, root: Path, name: str, file: Path | None) -> None:
    """Writes a report to a file, or to standard output if there is no file."""
    if file is None:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        sys.stdout.write(render_report(name, verdict, root, colour))
        return
    atomic_file.write(file, render_report(name, verdict, root).encode())
