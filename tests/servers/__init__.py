"""Real programs that tests run against, built from source by a `go.mod` of their own and kept by its checksum."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from gatekeeper import tools
from gatekeeper.process import run

HERE = Path(__file__).parent
SECONDS = 1800.0
PACKAGES = {"kubeseal": "github.com/bitnami/sealed-secrets/cmd/kubeseal"}


@cache
def built(name: str) -> Path | None:
    """The program, built if need be; None where there is no Go."""
    folder = HERE / name
    sums = hashlib.sha256((folder / "go.mod").read_bytes() + (folder / "go.sum").read_bytes()).hexdigest()[:16]
    target = tools.cache() / f"{name}-{sums}-{sys.platform}" / name
    if target.is_file():
        return target
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{name}.{os.getpid()}")
    command = [go, "build", "-trimpath", "-mod=readonly", "-o", str(partial), PACKAGES[name]]
    code, _, words = run(command, SECONDS, cwd=folder, environment={**tools.online(), "CGO_ENABLED": "0"})
    assert code == 0, words[-2000:]
    partial.replace(target)
    return target


def server(name: str) -> Path:
    """The program for a test; the test is skipped where it cannot be built, and fails in CI."""
    found = built(name)
    if found is None:
        if os.environ.get("GATEKEEPER_CI"):
            pytest.fail(f"{name} must be built in CI, and there is no Go")
        pytest.skip(f"{name} is built with Go, and there is none")
    return found
