"""Writes the digests of our own Go programs into the product, after their source has changed."""

import re
from pathlib import Path

from gatekeeper.host import toolchain

FILE = toolchain.PACKAGE / "host" / "source_versions.py"


def write_source_versions(file: Path = FILE) -> None:
    """Replaces each digest in the file by that of the present source."""
    text = file.read_text(encoding="utf-8")
    for tool in toolchain.TOOLS.values():
        if tool.source_folder:
            text = re.sub(rf'("{tool.name}": )"v[0-9a-f]*"', rf'\1"{toolchain.compute_source_version(tool)}"', text)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_source_versions()
