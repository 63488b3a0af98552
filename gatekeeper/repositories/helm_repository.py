"""Fetches charts from Helm chart repositories with the helm program: the version that matches, and its files.

The configuration of the user is not used. Secrets reach helm through files in memory, never through an argument.
Source: Helm `docs/chart_repository.md`; argo-cd `docs/user-guide/helm.md`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import yaml

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories import git_fetch
from gatekeeper.repositories.git_transport import NONEXISTENT_HOME
from gatekeeper.secret_value import SecretBytes

TIMEOUT_SECONDS = 120.0
REPOSITORY_NAME = "r"
CHART_VERSION = re.compile(r"[0-9A-Za-z.+_-]+")
TLS_FIELDS = {"tls.crt": "certFile", "tls.key": "keyFile", "ca.crt": "caFile"}
ERROR_MEANINGS = (
    # Only the status code is fixed: a server chooses the words behind it, and HTTP/2 has none.
    (r"failed to fetch \S+ : 401\b", "requires a user name and password"),
    (r"failed to fetch \S+ : 403\b", "denies access (403)"),
    (r"failed to fetch \S+ : 404\b", "has no `index.yaml`: not a chart repository"),
    ("no such host", "host name not found"),
    ("certificate", "has a certificate that is not trusted"),
)


class Chart(NamedTuple):
    """A chart of a repository, and the range of acceptable versions."""

    url: str
    name: str
    version_range: str


def resolve_version(chart: Chart, credentials: Mapping[str, SecretBytes]) -> str:
    """The newest version in the range.

    Args:
        credentials: named as in the Secret of a GitRepository; empty for none.

    Raises:
        ToolError: the repository refuses, does not answer, or has no such version.
    """
    with _open_helm_home(chart, credentials) as environment:
        words = [
            "search",
            "repo",
            f"{REPOSITORY_NAME}/{chart.name}",
            "--version",
            chart.version_range,
            "--output",
            "json",
        ]
        charts = orjson.loads(_run_helm(chart, environment, *words) or b"[]")
    versions = [entry["version"] for entry in charts if entry.get("name") == f"{REPOSITORY_NAME}/{chart.name}"]
    if not versions:
        raise ToolError(f"{chart.url}: chart {chart.name} not found in a version that matches `{chart.version_range}`")
    if not CHART_VERSION.fullmatch(versions[0]):
        raise ToolError(f"{chart.url}: chart {chart.name} has an invalid version: {versions[0][:80]}")
    return str(versions[0])


def fetch_chart(chart: Chart, version: str, credentials: Mapping[str, SecretBytes], storage: Path) -> Path:
    """The folder with a version of a chart; fetched if it does not exist.

    Args:
        storage: the folder that charts are kept below.

    Raises:
        ToolError: the version cannot be fetched.
    """
    folder = storage / hashlib.sha256(f"chart {chart.url} {chart.name}".encode()).hexdigest()[:16]
    target = folder / version
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    try:
        with _open_helm_home(chart, credentials) as environment:
            words = [
                "pull",
                f"{REPOSITORY_NAME}/{chart.name}",
                "--version",
                version,
                "--untar",
                "--untardir",
                str(scratch),
            ]
            _run_helm(chart, environment, *words)
        if not (scratch / chart.name / "Chart.yaml").is_file():
            raise ToolError(f"{chart.url}: the archive of {chart.name} {version} has no folder `{chart.name}`")
        for archive in scratch.glob("*.tgz"):
            archive.unlink()
        git_fetch.break_outside_links(scratch)
        scratch.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


@contextmanager
def _open_helm_home(chart: Chart, credentials: Mapping[str, SecretBytes]) -> Iterator[Mapping[str, str]]:
    """The environment of a temporary Helm home that knows one repository."""
    with closing(MemoryFiles()) as files, tempfile.TemporaryDirectory(prefix="gatekeeper-helm-") as scratch:
        entry: dict[str, object] = {"name": REPOSITORY_NAME, "url": chart.url}
        for name in ("username", "password"):
            if name in credentials:
                entry[name] = credentials[name].reveal().decode("utf-8", "replace")
        entry |= {
            field: files.write_file(name, credentials[name].reveal(), True)
            for name, field in TLS_FIELDS.items()
            if name in credentials
        }
        text = yaml.safe_dump({"apiVersion": "", "repositories": [entry]}).encode()
        environment = {f"HELM_{name}_HOME": scratch for name in ("CACHE", "CONFIG", "DATA")} | {
            "HELM_REPOSITORY_CONFIG": files.write_file("repositories.yaml", text, len(entry) > len(("name", "url"))),
            "HELM_REPOSITORY_CACHE": scratch,
            "HOME": NONEXISTENT_HOME,
        }
        _run_helm(chart, environment, "repo", "update", REPOSITORY_NAME, "--fail-on-repo-update-fail")
        yield environment


def _run_helm(chart: Chart, environment: Mapping[str, str], *arguments: str) -> bytes:
    command: list[str | Path] = [DEFAULT_TOOLCHAIN.find("helm"), *arguments]
    code, output, error_text = process.run_command(
        command, TIMEOUT_SECONDS, environment=environment, allow_network=True, advice="try again later"
    )
    if code != 0:
        text = f"{error_text} {output.decode('utf-8', 'replace')}"
        meaning = next((meaning for pattern, meaning in ERROR_MEANINGS if re.search(pattern, text)), "")
        raise ToolError(
            f"{chart.url}: {meaning}" if meaning else f"{chart.url}: helm {arguments[0]} failed for {chart.name}"
        )
    return output
