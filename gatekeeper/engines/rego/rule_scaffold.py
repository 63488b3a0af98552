"""Creates the files of a new rule: the rule with its METADATA, a bad case and a good case."""

from __future__ import annotations

import re
from pathlib import Path

from gatekeeper.engines.rego import library
from gatekeeper.errors import UsageError
from gatekeeper.host import atomic_file
from gatekeeper.host.lazy_pattern import compile_lazily

TEMPLATE_FOLDER = library.PACKAGED_FOLDER.parent / "scaffold" / "rule"
RULE_NAME = compile_lazily(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LIBRARY_PACKAGE = "gatekeeper."
# Lines of METADATA that count in the library only: the rules of a repository are selected and graded by their names.
LIBRARY_FIELDS = compile_lazily(r"^#   (?:severity|profile|kinds|standards): .*\n", re.MULTILINE)


def create_rule(name: str, folder: Path | None = None) -> list[Path]:
    """Creates the folder of a rule, and returns the files in it.

    Args:
        name: `CATEGORY/RULE`, in lower case with `-` between words.
        folder: the policy folder of a repository; None for the library of Gatekeeper, in a checkout of its source.

    Raises:
        UsageError: the name is malformed, the rule exists, the source of the library is missing, or a file cannot be
            written.
    """
    if not RULE_NAME.fullmatch(name):
        raise UsageError(f"policy new: `{name}` is not a rule name; use CATEGORY/RULE, such as images/latest-tag")
    if folder is None and not (library.PACKAGED_FOLDER.parents[1] / "pyproject.toml").is_file():
        raise UsageError("policy new: this is not a checkout of Gatekeeper; name your policy folder with --policy DIR")
    target = (folder or library.PACKAGED_FOLDER) / name
    if target.exists():
        raise UsageError(f"{target}: already exists; choose another name, or edit the rule")
    package = ("" if folder else LIBRARY_PACKAGE) + name.replace("-", "_").replace("/", ".")
    created = []
    try:
        target.mkdir(parents=True)
        for template in sorted(TEMPLATE_FOLDER.iterdir()):
            text = template.read_text(encoding="utf-8").replace("PACKAGE", package)
            if folder is not None:
                text = LIBRARY_FIELDS.sub("", text)
            atomic_file.write(target / template.name, text.encode())
            created.append(target / template.name)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror or error}") from error
    return created
