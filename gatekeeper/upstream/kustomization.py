"""Builds of kustomizations by kustomize's own library, from files that are sent."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_answer, decode_list
from gatekeeper.upstream.batches import Call, call_or_fail
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.kustomization_files import REPOSITORY, KustomizationFiles, decode_name

START_SECONDS = 20.0
# A round sends what the round before asked for; a build that asks for more is not built.
MAX_ROUNDS = 200
MAX_BATCH_TARGETS = 256
# How paths of the repository begin in a build's own files, and in what kustomize notes.
ABOVE = f"..{REPOSITORY}/"


class KustomizationBuild(NamedTuple):
    """One build.

    Attributes:
        files: the files of its own folder, `/wrapper`, by name, with `kustomization.yaml`. The repository is at
            `../repository` from there.
        is_restricted: whether each kustomization may read files of its own folder only.
        folders: folders of the repository that it builds on, as far as they are known.
        inputs: files of the repository that it builds on, as far as they are known.
        charts: folders of charts that it inflates, as far as they are known.
    """

    files: Mapping[str, str]
    is_restricted: bool = False
    folders: Sequence[str] = ()
    inputs: Sequence[str] = ()
    charts: Sequence[str] = ()


class BuiltObject(NamedTuple):
    """An object, with what kustomize notes about it.

    Attributes:
        origin: the file of the repository that it is from; empty if kustomize names none.
        own_file: the name of the build's own file that it is from; empty if it is from none.
        steps: the file of the repository (or empty) and the kind of each transformer that changed it.
    """

    value: dict[str, Any]
    origin: str
    own_file: str
    steps: tuple[tuple[str, str], ...]


class KustomizationError(ToolError):
    """Kustomize itself refuses a build, or its input is too large: the program works."""


# The objects, or why the build failed.
BuildResult = Sequence[BuiltObject] | ToolError


def build_own_files(client: UpstreamClient, files: Mapping[str, str], seconds: float) -> Sequence[BuiltObject]:
    """The objects of a build that reads only its own files.

    Args:
        files: see `KustomizationBuild`.
        seconds: for one attempt.

    Raises:
        ToolError: kustomize refused the build, took too long, or the program cannot be used.
    """
    # The repository is empty.
    payload = {"folders": {REPOSITORY: {}}, "targets": [{"files": files, "restricted": True}], "seconds": seconds}
    answer = client.call("kustomize", payload, START_SECONDS + seconds)
    [build] = _decode_builds(answer, 1)
    if build.is_late:
        # The build still uses a core.
        client.close()
    if build.needs:
        raise KustomizationError(f"kustomize reads `{build.needs[0]}`, which is not a file of this build")
    if isinstance(build.result, ToolError):
        raise build.result
    return build.result


class KustomizationBuilder:
    """Builds kustomizations of one repository, for any number of threads; each file is read and sent once.

    Args:
        seconds: for one build.
        kubernetes: the version of Kubernetes (`1.34`) that charts are rendered for.
    """

    def __init__(self, client: UpstreamClient, root: Path, seconds: float, kubernetes: str) -> None:
        self._client, self._seconds, self._kubernetes = client, seconds, kubernetes
        self._listings = KustomizationFiles(root)
        self._sent: set[str] = set()
        self._lock = threading.Lock()

    def build(self, builds: Sequence[KustomizationBuild]) -> list[BuildResult]:
        """The result of each build.

        Raises:
            ToolError: the program cannot be used.
        """
        self._client.get_worker()
        results: list[BuildResult] = []
        for start in range(0, len(builds), MAX_BATCH_TARGETS):
            results += self._build_part(builds[start : start + MAX_BATCH_TARGETS])
        return results

    def _build_part(self, builds: Sequence[KustomizationBuild]) -> list[BuildResult]:
        """The results of builds that are few enough for one call."""

        def build(part: Sequence[KustomizationBuild], _: Call) -> list[BuildResult]:
            # All parts use the process that keeps the files.
            return self._build_in_rounds(part)

        return call_or_fail(self._client, builds, build, lambda error: error)

    def _build_in_rounds(self, builds: Sequence[KustomizationBuild]) -> list[BuildResult]:
        results: dict[int, BuildResult] = {}
        folders = {folder for build in builds for folder in build.folders}
        inputs = {file for build in builds for file in build.inputs}
        with self._lock:
            for chart in {chart for build in builds for chart in build.charts}:
                for folder in self._listings.list_folders_below(chart):
                    folders.add(folder)
                    inputs.update(self._listings.list_small_files(folder))
        waiting = list(range(len(builds)))
        for _ in range(MAX_ROUNDS):
            answers = self._call(folders, inputs, [builds[number] for number in waiting])
            needed = {path for answer in answers for path in answer.needs}
            results.update(
                (number, answer.result) for number, answer in zip(waiting, answers, strict=True) if not answer.needs
            )
            waiting = [number for number in waiting if number not in results]
            if any(answer.is_late for answer in answers):
                # The build still uses a core.
                self._client.close()
            if not waiting:
                return [results[number] for number in range(len(builds))]
            before = len(folders) + len(inputs)
            for path in needed:
                self._add_needed(path, folders, inputs)
            if len(folders) + len(inputs) == before:
                break
        failure = KustomizationError("kustomize reads more files than can be sent to it")
        return [results.get(number, failure) for number in range(len(builds))]

    def _add_needed(self, path: str, folders: set[str], inputs: set[str]) -> None:
        if path in inputs or path in folders:
            return
        with self._lock:
            small = self._listings.list_small_files(path)
        folders.add(path)
        inputs.add(path)
        inputs.update(small)

    def _call(
        self, folders: Iterable[str], inputs: Iterable[str], builds: Sequence[KustomizationBuild]
    ) -> list[_BuildAnswer]:
        with self._lock:
            listings = self._listings.list_folders(folders, inputs)
            used = {entry[1:] for listing in listings.values() for entry in listing.values() if entry[:1] == "f"} - {""}
            send = used - self._sent
        payload: dict[str, Any] = {
            "folders": listings,
            "targets": [{"files": build.files, "restricted": build.is_restricted} for build in builds],
            "seconds": self._seconds,
            "kubernetes": self._kubernetes,
        }
        seconds = START_SECONDS + self._seconds * len(builds)
        answer = self._client.call("kustomize", {**payload, "contents": self._encode(send)}, seconds)
        if decode_answer(lambda found: found.get("missing"), answer):
            # Another process, or one that dropped them.
            answer = self._client.call("kustomize", {**payload, "contents": self._encode(used)}, seconds)
        with self._lock:
            self._sent |= used
        return _decode_builds(answer, len(builds))

    def _encode(self, digests: Iterable[str]) -> dict[str, str]:
        return {digest: base64.b64encode(self._listings.contents[digest]).decode() for digest in digests}


def _find_relative(path: str) -> str:
    return decode_name(path.removeprefix(REPOSITORY).lstrip("/"))


class _BuildAnswer(NamedTuple):
    """What the program answers: a result, or paths that it needs; whether the build still runs."""

    result: BuildResult
    needs: Sequence[str]
    is_late: bool


def _decode_builds(answer: Any, count: int) -> list[_BuildAnswer]:
    return decode_list(_decode_build, decode_answer(lambda found: found["results"], answer), count)


def _decode_build(answer: dict[str, Any]) -> _BuildAnswer:
    needs = [_find_relative(path) for path in answer.get("needs") or ()]
    return _BuildAnswer(() if needs else _decode_result(answer), needs, answer.get("late") is True)


def _decode_result(answer: dict[str, Any]) -> BuildResult:
    if answer.get("error"):
        return KustomizationError(answer["error"].strip())
    return [
        build_object(one["object"], one.get("origin"), one.get("transformations"))
        for one in answer.get("objects") or ()
    ]


def build_object(value: dict[str, Any], origin: Any, transformations: Any) -> BuiltObject:
    """An object with the origin and the transformations (a mapping and a list of mappings) that kustomize notes."""
    noted = origin if isinstance(origin, dict) else {}
    path = noted.get("path") or noted.get("configuredIn")
    file = _find_noted_path(path)
    steps = transformations if isinstance(transformations, list) else ()
    return BuiltObject(
        value=value,
        origin=file,
        own_file=path if isinstance(path, str) and not file else "",
        steps=tuple(
            (_find_noted_path(step.get("configuredIn")), str((step.get("configuredBy") or {}).get("kind")))
            for step in steps
            if isinstance(step, dict)
        ),
    )


def _find_noted_path(path: Any) -> str:
    """The path in the repository of a path that is relative to a build's own folder; empty if it is not in there."""
    return decode_name(path.removeprefix(ABOVE)) if isinstance(path, str) and path.startswith(ABOVE) else ""
