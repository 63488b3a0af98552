"""Charts of chart repositories, by the real helm: which version is meant, and its files.

Nothing of the user's own Helm is used. What is secret reaches helm through files in memory, and never through an
argument. Source: Helm `docs/chart_repository.md`; argo-cd `docs/user-guide/helm.md`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson
import yaml

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.repositories import git_fetch
from gatekeeper.repositories.git_transport import NONEXISTENT_HOME
from gatekeeper.secret_value import SecretBytes

TIMEOUT_SECONDS = 120.0
REPOSITORY_NAME = "r"
CHART_VERSION = re.compile(r"[0-9A-Za-z.+_-]+")
TLS_FIELDS = {"tls.crt": "certFile", "tls.key": "keyFile", "ca.crt": "caFile"}
ERROR_MEANINGS = (
    ("401 Unauthorized", "wants a name and a password"),
    ("403 Forbidden", "refuses who asks (403)"),
    ("404 Not Found", "has no `index.yaml`: it is no chart repository"),
    ("no such host", "is not known by this name"),
    ("certificate", "has a certificate that nobody vouches for"),
)


class Chart(NamedTuple):
    """A chart of a repository, and the versions of it that will do."""

    url: str
    name: str
    version_range: str


def resolve_version(chart: Chart, credentials: Mapping[str, SecretBytes]) -> str:
    """The newest version that will do.

    Args:
        credentials: with what the repository is reached, named as in the Secret of a GitRepository.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    with _open_helm_home(chart, credentials) as surroundings:
        words = [
            "search",
            "repo",
            f"{REPOSITORY_NAME}/{chart.name}",
            "--version",
            chart.version_range,
            "--output",
            "json",
        ]
        found = orjson.loads(_run_helm(chart, surroundings, *words) or b"[]")
    versions = [one["version"] for one in found if one.get("name") == f"{REPOSITORY_NAME}/{chart.name}"]
    if not versions:
        raise ToolError(f"{chart.url}: has no chart {chart.name} of a version that is `{chart.version_range}`")
    if not CHART_VERSION.fullmatch(versions[0]):
        raise ToolError(f"{chart.url}: the version of {chart.name} is none: {versions[0][:80]}")
    return str(versions[0])


def fetch_chart(chart: Chart, version: str, credentials: Mapping[str, SecretBytes], storage: Path) -> Path:
    """The folder that has a version of a chart, each version once.

    Raises:
        ToolError: it cannot be had.
    """
    folder = storage / hashlib.sha256(f"chart {chart.url} {chart.name}".encode()).hexdigest()[:16]
    target = folder / version
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    try:
        with _open_helm_home(chart, credentials) as surroundings:
            words = [
                "pull",
                f"{REPOSITORY_NAME}/{chart.name}",
                "--version",
                version,
                "--untar",
                "--untardir",
                str(scratch),
            ]
            _run_helm(chart, surroundings, *words)
        if not (scratch / chart.name / "Chart.yaml").is_file():
            raise ToolError(f"{chart.url}: the archive of {chart.name} {version} has no folder of its name")
        for archive in scratch.glob("*.tgz"):
            archive.unlink()
        git_fetch.break_outside_links(scratch)
        scratch.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


@contextmanager
def _open_helm_home(chart: Chart, credentials: Mapping[str, SecretBytes]) -> Iterator[Mapping[str, str]]:
    """A home of Helm's own that knows one repository, for as long as it is needed."""
    with closing(MemoryFiles()) as handed, tempfile.TemporaryDirectory(prefix="gatekeeper-helm-") as scratch:
        entry: dict[str, object] = {"name": REPOSITORY_NAME, "url": chart.url}
        for name in ("username", "password"):
            if name in credentials:
                entry[name] = credentials[name].reveal().decode("utf-8", "replace")
        entry |= {
            field: handed.write_file(name, credentials[name].reveal(), True)
            for name, field in TLS_FIELDS.items()
            if name in credentials
        }
        text = yaml.safe_dump({"apiVersion": "", "repositories": [entry]}).encode()
        surroundings = {f"HELM_{name}_HOME": scratch for name in ("CACHE", "CONFIG", "DATA")} | {
            "HELM_REPOSITORY_CONFIG": handed.write_file("repositories.yaml", text, len(entry) > len(("name", "url"))),
            "HELM_REPOSITORY_CACHE": scratch,
            "HOME": NONEXISTENT_HOME,
        }
        _run_helm(chart, surroundings, "repo", "update", REPOSITORY_NAME, "--fail-on-repo-update-fail")
        yield surroundings


def _run_helm(chart: Chart, environment: Mapping[str, str], *arguments: str) -> bytes:
    command: list[str | Path] = [DEFAULT_TOOLCHAIN.find("helm"), *arguments]
    code, out, said = process.run_command(
        command, TIMEOUT_SECONDS, environment=environment, allow_network=True, advice="ask it again later"
    )
    told = f"{said} {out.decode('utf-8', 'replace') if code else ''}"
    if code != 0:
        meaning = next((meaning for phrase, meaning in ERROR_MEANINGS if phrase in told), "")
        raise ToolError(
            f"{chart.url} {meaning}" if meaning else f"{chart.url}: helm {arguments[0]} fails for {chart.name}"
        )
    return out
