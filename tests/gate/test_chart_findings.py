"""Findings in charts from elsewhere: the values line that an author can edit, or the template and a warning."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gatekeeper.model import Finding
from gatekeeper.sources.model import SourcePin
from gatekeeper.sources.source_cache import SourceCache, open_source_cache
from gatekeeper.workspace import lockfile
from tests.conftest import Repository, command, judge
from tests.servers.source_server import pack_files

SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts, namespace: shop}
spec: {url: "https://charts.example.com", interval: 1h}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: shop}
spec:
  interval: 1h
  chart:
    spec:
      chart: web
      version: 1.x
      sourceRef: {kind: HelmRepository, name: charts}
"""
TEMPLATE = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - name: web
    image: "web:{{ .Values.tag }}"
"""
FILES = {
    "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "web/values.yaml": "tag: latest\n",
    "web/templates/a.yaml": TEMPLATE,
}
KEY = "helm https://charts.example.com web 1.x"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEKEEPER_SOURCES", str(tmp_path / "sources"))


def find_tags(root: Path) -> list[Finding]:
    """The findings of one rule, with the library and its default settings."""
    archive = pack_files(FILES)
    pin = SourcePin("1.0.0", "https://charts.example.com/web-1.0.0.tgz", open_source_cache().add(archive))
    lockfile.write_sources(root, {KEY: pin})
    return [finding for finding in judge(root).findings if finding.rule == "images/latest-tag"]


def test_a_value_of_the_repository_is_an_error_at_its_line(repository: Repository) -> None:
    root = repository(
        {"source.yaml": SOURCE, "release.yaml": f"{RELEASE}  values:\n    tag: latest\n", "gatekeeper.yaml": ""}
    )
    [finding] = find_tags(root)
    assert (finding.severity, finding.location.file, finding.location.line) == ("error", "release.yaml", 12)
    assert "of chart" not in finding.hint


def test_a_value_of_the_chart_is_a_warning_at_the_line_that_names_it(repository: Repository) -> None:
    [finding] = find_tags(repository({"source.yaml": SOURCE, "release.yaml": RELEASE, "gatekeeper.yaml": ""}))
    assert (finding.severity, finding.location.file, finding.location.line) == ("warning", "release.yaml", 8)
    assert finding.hint.endswith("set by `templates/a.yaml` of chart web 1.0.0, and by no value of this repository")


@pytest.mark.parametrize("severity", ["error", "info"])
def test_the_severity_is_configurable(repository: Repository, severity: str) -> None:
    config = f"charts: {{severity: {severity}}}\n"
    [finding] = find_tags(repository({"source.yaml": SOURCE, "release.yaml": RELEASE, "gatekeeper.yaml": config}))
    assert finding.severity == severity


def test_a_chart_that_is_not_fetched_is_a_gap_until_it_is(repository: Repository, tmp_path: Path) -> None:
    root = repository({"source.yaml": SOURCE, "release.yaml": RELEASE, "gatekeeper.yaml": ""})
    archive = pack_files(FILES)
    pin = SourcePin("1.0.0", "https://charts.example.com/web-1.0.0.tgz", SourceCache(tmp_path / "other").add(archive))
    lockfile.write_sources(root, {KEY: pin})
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    env = {**os.environ, "GATEKEEPER_CACHE": str(tmp_path / "verdicts"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    for _ in range(2):
        code, out, err = command("check", cwd=root, env=env)
        assert code == 3 and "release.yaml: chart web: locked, but not fetched on this machine" in out, err
    open_source_cache().add(archive)
    # The repository is the same: a kept verdict would still be incomplete.
    code, out, err = command("check", cwd=root, env=env)
    assert code == 0 and "images/latest-tag" in out, err


SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: shop}
stringData: {password: "{{ .Values.password }}", fixed: "hunter2-hunter2"}
"""


def test_no_finding_rests_on_the_stand_in_of_a_secret(repository: Repository) -> None:
    values = "  valuesFrom:\n  - {kind: Secret, name: sealed, valuesKey: password, targetPath: password}\n"
    root = repository({"source.yaml": SOURCE, "release.yaml": f"{RELEASE}{values}", "gatekeeper.yaml": ""})
    archive = pack_files({**FILES, "web/templates/a.yaml": SECRET})
    pin = SourcePin("1.0.0", "https://charts.example.com/web-1.0.0.tgz", open_source_cache().add(archive))
    lockfile.write_sources(root, {KEY: pin})
    verdict = judge(root)
    [finding] = [finding for finding in verdict.findings if finding.rule == "plaintext/secret"]
    assert finding.field_path == ("stringData", "fixed") and not finding.members
    assert [gap.reason for gap in verdict.coverage.gaps if "stand-ins" in gap.reason]
