"""Real programs that tests run against, built from source by a `go.mod` of their own and kept by its checksum."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command

HERE = Path(__file__).parent
SECONDS = 1800.0
VERSION = "k8s.io/component-base/version"
STAMP = f"-X {VERSION}.gitVersion=v1.36.3 -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor=36"
# Each program: the folder with its `go.mod`, its package, and what the linker writes into it.
PROGRAMS = {
    "kubeseal": ("sealed-secrets", "github.com/bitnami/sealed-secrets/cmd/kubeseal", ""),
    "controller": ("sealed-secrets", "github.com/bitnami/sealed-secrets/cmd/controller", ""),
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3", ""),
    "external-secrets": ("external-secrets", "github.com/external-secrets/external-secrets", ""),
    "vault": ("vault", "github.com/hashicorp/vault", ""),
    # A program of ours around the library that says whether objects are ready.
    "kstatus": ("kstatus", ".", ""),
    "kube-apiserver": ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", STAMP),
}

# Those that no test needs.
BENCHES = ("external-secrets",)


@cache
def built(name: str) -> Path | None:
    """The program, built if need be; None where there is no Go."""
    home, package, stamp = PROGRAMS[name]
    folder = HERE / home
    held = [folder / "go.mod", folder / "go.sum", *folder.glob("*.go")]
    sums = hashlib.sha256(b"".join(path.read_bytes() for path in held)).hexdigest()[:16]
    target = toolchain.get_cache_folder() / f"{name}-{sums}-{sys.platform}" / name
    if target.is_file():
        return target
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{name}.{os.getpid()}")
    command = [go, "build", "-trimpath", "-mod=readonly", "-ldflags", f"-s -w {stamp}", "-o", str(partial), package]
    code, _, words = run_command(
        command, SECONDS, cwd=folder, environment={**toolchain.get_build_environment(), "CGO_ENABLED": "0"}
    )
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
