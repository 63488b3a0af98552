"""A repository whose `.sops.yaml` encrypts for a key of age that was made for the test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pyrage
import pytest

from gatekeeper.host import toolchain
from tests.conftest import command

Say = tuple[int, str, str]


class Age(NamedTuple):
    """A recipient, and the file with its identity."""

    recipient: str
    file: Path


class Shop(NamedTuple):
    """A repository with a `.sops.yaml`, a key that opens its files, and one that does not."""

    root: Path
    key: Age
    other: Age

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def rules(self, *rules: str) -> None:
        self.write(".sops.yaml", "creation_rules:\n" + "".join(f"  - {rule}\n" for rule in rules))

    def run(self, *arguments: str | Path, key: Path | None = None) -> Say:
        own = {
            "SOPS_AGE_KEY_FILE": str(key or self.key.file),
            "HOME": str(self.root.parent / "home"),
            "XDG_CACHE_HOME": str(toolchain.get_cache_folder().parent.parent),
        }
        return command(*arguments, cwd=self.root, env={**os.environ, **own})

    def sops(self, *arguments: str | Path, key: Path | None = None) -> Say:
        return self.run("sops", *arguments, key=key)

    def encrypted(self, name: str, content: str | bytes) -> Path:
        path = self.write(name, content)
        code, out, err = self.sops("encrypt", name)
        assert (code, err) == (0, ""), out + err
        return path


def age(folder: Path, name: str) -> Age:
    identity = pyrage.x25519.Identity.generate()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"{identity}\n")
    return Age(str(identity.to_public()), file)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    keys = tmp_path / "keys"
    made = Shop(tmp_path / "shop", age(keys, "age.txt"), age(keys, "other.txt"))
    made.write("gatekeeper.yaml", "library: {profile: 'off'}\n")
    made.rules(f"age: {made.key.recipient}")
    return made
