"""The content of charts: archives from elsewhere render as `helm template` renders them, and unpack safely."""

from __future__ import annotations

import gzip
import re
import tarfile
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.process import run_command
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.render.helm.chart_content import ArchivedChart, LocalChart
from gatekeeper.sources.source_cache import SourceCache
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.helm import render_release
from gatekeeper.upstream.helm_release import HelmRelease
from gatekeeper.workspace.tree import Tree
from tests.conftest import SHARED, needs, shared
from tests.servers.source_server import pack_files

CHARTS = "corpora/charts"
SECONDS, KUBERNETES = 60.0, "1.34"
# Archives that do not render by themselves, or not twice the same, with their own values.
UNSTABLE = ("grafana", "kube-prometheus-stack", "podinfo", "snapshot-controller-5.0.4")
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"


def open_chart(tmp_path: Path, archive: bytes) -> ArchivedChart:
    cache = SourceCache(tmp_path / "cache")
    return ArchivedChart("web", cache.add(archive), cache)


def render(chart: ArchivedChart) -> str:
    return render_release(open_client(KUBERNETES), chart.files, HelmRelease("web", "shop", KUBERNETES), SECONDS)


@shared(CHARTS)
@needs("helm")
@pytest.mark.parametrize(
    "file",
    [path.name for path in sorted((SHARED / CHARTS).glob("*.tgz")) if not path.name.startswith(UNSTABLE)],
)
def test_a_packaged_chart_renders_as_with_helm(tmp_path: Path, file: str) -> None:
    path = SHARED / CHARTS / file
    code, out, words = run_command(
        [
            DEFAULT_TOOLCHAIN.find("helm"),
            *("template", "web", path, "--namespace", "shop"),
            *("--include-crds", "--skip-tests", "--kube-version", KUBERNETES),
        ],
        SECONDS,
    )
    chart = open_chart(tmp_path, path.read_bytes())
    if code == 0:
        assert render(chart) == out.decode()
        return
    with pytest.raises(ToolError) as refused:
        render(chart)
    error = re.split(r"^Error: ", words, maxsplit=1, flags=re.MULTILINE)[-1].strip()
    assert " ".join(error.split())[:80] in " ".join(str(refused.value).split())


def test_an_archive_is_unpacked_for_the_lines_of_findings(tmp_path: Path) -> None:
    files = {"web/Chart.yaml": CHART, "web/templates/a.yaml": "a: 1\n", "web/charts/sub/Chart.yaml": CHART}
    chart = open_chart(tmp_path, pack_files(files))
    tree = chart.tree
    assert sorted(tree.files) == sorted(files)
    assert tree.read_file("web/templates/a.yaml") == b"a: 1\n"


def test_entries_that_lead_elsewhere_are_not_unpacked(tmp_path: Path) -> None:
    link = tarfile.TarInfo("web/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    files = {"web/Chart.yaml": CHART, "web/../../outside": "x", "/web/templates/absolute.yaml": "x", "alone": "x"}
    chart = open_chart(tmp_path, pack_files(files, link))
    chart.unpack(tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")} == {
        "Chart.yaml",
        "web",
        "web/templates",
        "web/templates/absolute.yaml",
    }
    assert not (tmp_path / "outside").exists()
    with pytest.raises(ToolError):
        render(chart)


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"<html>",
        gzip.compress(b"no tar"),
        pack_files({"web/Chart.yaml": CHART})[:40],
        gzip.compress(bytes(101 << 20)),
    ],
    ids=["empty", "page", "no tar", "truncated", "bomb"],
)
def test_an_archive_that_cannot_be_read_is_refused(tmp_path: Path, archive: bytes) -> None:
    chart = open_chart(tmp_path, archive)
    with pytest.raises(ToolError):
        render(chart)
    with pytest.raises(ToolError):
        chart.unpack(tmp_path / "out")
    assert chart.find_cluster_calls() == []


def test_functions_that_need_a_cluster_are_found_in_an_archive(tmp_path: Path) -> None:
    template = '{{ lookup "v1" "Secret" "a" "b" }}'
    chart = open_chart(tmp_path, pack_files({"web/Chart.yaml": CHART, "web/templates/a.yaml": template}))
    [call] = chart.find_cluster_calls()
    assert "lookup" in call.reason
    assert open_chart(tmp_path, pack_files({"web/Chart.yaml": CHART})).find_cluster_calls() == []


def test_an_archive_that_is_not_in_the_store_has_the_remedy(tmp_path: Path) -> None:
    chart = ArchivedChart("web", "sha256:" + "0" * 64, SourceCache(tmp_path))
    with pytest.raises(ToolError, match="run `gatekeeper fetch`"):
        render(chart)


def test_a_folder_with_missing_dependencies_has_a_fault(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text(CHART + "dependencies: [{name: x, version: 1.0.0, repository: 'https://x'}]\n")
    [fault] = LocalChart(Tree(tmp_path, ["Chart.yaml"]), "").find_faults()
    assert fault.file == "Chart.yaml" and fault.is_fatal
