"""The wheel has every module and every data file of the product, as the repository has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What a wheel is built from, besides the product itself.
BUILT_FROM = ("pyproject.toml", "README.md", "rust")


def tracked(*places: str) -> list[str]:
    """The files that Git knows, or would know after `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built from a clean copy, so that no earlier build leaves files in it."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in tracked("gatekeeper", *BUILT_FROM):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    # The compiled engine is optional: without a Rust compiler the wheel is built without it, in seconds.
    environment = {**os.environ, "CARGO": str(wheels / "no-cargo")}
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        wheels,
        source,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_package_and_data_file(names: set[str]) -> None:
    expected = set(tracked("gatekeeper"))
    # Kinds of files that only a pattern in pyproject.toml puts into the wheel; one of each must be among those expected.
    for ending in (
        "__init__.py",
        ".go",
        "go.mod",
        "go.sum",
        ".rego",
        ".css",
        ".toml",
        ".json",
        ".tf",
        "py.typed",
        ".pyi",
    ):
        assert any(name.endswith(ending) for name in expected), ending
    assert {name for name in names if name.startswith("gatekeeper/")} == expected


def test_the_wheel_has_nothing_but_the_product(names: set[str]) -> None:
    others = {name.partition("/")[0] for name in names} - {"gatekeeper"}
    assert len(others) == 1 and others.pop().endswith(".dist-info")
