"""Renders charts with Helm's own library, as `helm template` does, without the helm program."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_answer
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.helm_release import ChartFiles, HelmRelease
from gatekeeper.upstream.worker import UpstreamWorker

# Helm refuses larger files, so only their size is sent.
MAX_FILE_BYTES = 5 * 1024 * 1024


def read_chart_files(folder: Path, repository: Path | None = None) -> ChartFiles:
    """Reads a chart's folder; links are followed as Helm does.

    Args:
        repository: links that lead out of it, and out of the folder, are faults.
    """
    places = tuple(f"{os.path.realpath(place)}/" for place in (folder, repository) if place) if repository else ("",)
    files = list(_read_folder(folder, "", frozenset(), places))
    digest = hashlib.sha256()
    for file in files:
        for part in (file["name"], file["fault"], str(file["size"]), file["data"]):
            digest.update(f"{len(part)}:{part}".encode())
    return ChartFiles(digest.hexdigest(), files)


def _read_folder(folder: Path, prefix: str, above: frozenset[str], places: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The files below a folder, in the order in which Helm reads them.

    Args:
        places: the folders that links may lead to.
    """
    real = os.path.realpath(folder)
    if real in above:
        yield _build_file(prefix.rstrip("/"), fault=f"{prefix.rstrip('/')} is a link to a folder above it")
        return
    for path in sorted(folder.iterdir(), key=os.fsencode):
        shown = prefix + os.fsencode(path.name).decode("utf-8", "replace")
        if path.is_symlink() and path.exists() and not f"{os.path.realpath(path)}/".startswith(places):
            yield _build_file(shown, fault=f"{shown} is a link out of the repository")
        elif path.is_dir():
            yield from _read_folder(path, f"{shown}/", above | {real}, places)
        elif path.is_file():
            size = path.stat().st_size
            data = path.read_bytes() if size <= MAX_FILE_BYTES else b""
            yield _build_file(shown, data, size)
        elif path.is_symlink():
            yield _build_file(shown, fault=f"error evaluating symlink {shown}: no such file or directory")
        else:
            fault = f"cannot load irregular file {shown} as it has file mode type bits set"
            yield _build_file(shown, fault=fault)


def _build_file(name: str, data: bytes = b"", size: int = 0, fault: str = "") -> dict[str, Any]:
    return {"name": name, "data": base64.b64encode(data).decode("ascii"), "size": size, "fault": fault}


def render_release(client: UpstreamClient, chart: ChartFiles, release: HelmRelease, seconds: float) -> str:
    """The output of `helm template`.

    A chart that renders without end, or needs too much memory, stops no other one.

    Args:
        seconds: for one attempt.

    Raises:
        ToolError: Helm refused the chart or its values (with the words of Helm), or the program cannot be used.
    """
    return client.run(lambda worker: _render(worker, chart, release, seconds))


def _render(worker: UpstreamWorker, chart: ChartFiles, release: HelmRelease, seconds: float) -> str:
    payload = {
        "chart": chart.digest,
        "name": release.name,
        "namespace": release.namespace,
        "kubernetes": release.kubernetes,
        "apiVersions": list(release.api_versions),
        "values": [
            {"name": file.name, "data": base64.b64encode(file.content).decode("ascii")} for file in release.values_files
        ],
        "setValues": list(release.set_values),
        "includeCRDs": release.includes_crds,
        "skipTests": release.skips_tests,
        "isUpgrade": release.is_upgrade,
        "flux": None if release.flux is None else release.flux.encode(),
    }
    answer = decode_answer(_decode_rendering, worker.call("helm-template", payload, seconds))
    if answer.is_unknown:
        archive = base64.b64encode(chart.archive).decode("ascii")
        files = {"digest": chart.digest, "files": list(chart.files), "archive": archive}
        answer = decode_answer(_decode_rendering, worker.call("helm-chart", files, seconds))
        if not answer.fault:
            answer = decode_answer(_decode_rendering, worker.call("helm-template", payload, seconds))
    if answer.fault or answer.is_unknown:
        raise ToolError(answer.fault or "gatekeeper-upstream holds more charts than fit into its memory")
    return answer.output


class _Rendering(NamedTuple):
    """What the program answers: the output, or a fault, or that it does not have the chart."""

    output: str
    fault: str
    is_unknown: bool


def _decode_rendering(answer: dict[str, Any]) -> _Rendering:
    return _Rendering(str(answer.get("output") or ""), str(answer.get("fault") or ""), answer.get("unknown") is True)
