"""All formats, by the name that `--format` takes; each is a module of this folder, imported when it is asked for."""

from importlib import import_module
from pathlib import Path

from gatekeeper.model import Verdict

FORMATS = ("text", "json", "sarif", "junit", "github", "gitlab", "policyreport", "html")


def render_report(format_name: str, verdict: Verdict, root: Path, colour: bool = False) -> str:
    """The report in one of the formats.

    Args:
        root: the repository's root, whose files a report may quote.
        colour: whether escape codes may be used; only true on a terminal.
    """
    return str(import_module(f"gatekeeper.report.{format_name}").render(verdict, root, colour))
