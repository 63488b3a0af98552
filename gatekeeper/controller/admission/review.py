"""The gate as an admission webhook: the policies of a repository, on the same engine, on what is about to be stored.

Source: Kubernetes' `admission.k8s.io/v1` AdmissionReview; "Dynamic Admission Control".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper import config
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.config import Config
from gatekeeper.controller.runtime.http_server import Answer, Request
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.errors import GateError
from gatekeeper.gate import pipeline
from gatekeeper.host import lockfile, toolchain
from gatekeeper.model import Finding, Resource, Verdict, at
from gatekeeper.render.appliers import in_cluster
from gatekeeper.workspace import tree as workspace_tree
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

PATH = "/validate"
# What an API server writes into an object: no policy of a repository is about it.
SERVERS = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation", "selfLink")
# So many findings are told; and of a warning so many letters, which is what an API server passes on.
MOST_TOLD, MOST_LETTERS = 5, 250
# Kinds that others are judged by.
GROUND = (
    "CustomResourceDefinition",
    "ConstraintTemplate",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
GROUND_GROUPS = ("constraints.gatekeeper.sh", "kyverno.io", "policies.kyverno.io")
Name = tuple[str, str, str, str]


class Rules(NamedTuple):
    """What is judged by: a repository as it was when it was read.

    Attributes:
        ground: resources of it that others are judged by.
        known: the resources of it, by group, kind, namespace and name, so that a finding has its place in Git.
        mark: tells whether the files are still the same.
    """

    tree: Tree
    sources: Sequence[Source]
    settings: Config
    ground: Sequence[Resource]
    known: Mapping[Name, Resource]
    mark: object


def read(root: Path, config_file: Path | None) -> Rules:
    """Reads the policies of a repository.

    Raises:
        GateError: they cannot be used.
    """
    toolchain.follow(lockfile.load(root))
    settings = config.load(root, config_file)
    # Whether a kind has a schema the API server knows, and it has checked it already.
    settings = settings._replace(allow_missing=("*",))
    tree = workspace_tree.gather([root], root, settings.exclude)
    mark = _mark(tree)
    whole = pipeline.judge_all(tree, settings, pipeline.Asked(1))
    resources = [one for _, lot in whole.parts for one in lot]
    ground = [one for one in resources if one.ref.kind in GROUND or one.ref.group in GROUND_GROUPS]
    known = {(one.ref.group, one.ref.kind, one.ref.namespace, one.ref.name): one for one in resources}
    return Rules(tree, whole.sources, settings, ground, known, mark)


def _mark(tree: Tree) -> object:
    found = []
    for name in tree.files:
        try:
            held = (tree.root / name).stat()
        except OSError:
            continue
        found.append((name, held.st_mtime_ns, held.st_size, held.st_ino))
    return found


def judged(rules: Rules, values: Sequence[Object]) -> Verdict:
    """What the gate says of objects of a cluster."""
    resources = []
    for value in values:
        one = in_cluster(shown(value))
        held = rules.known.get((one.ref.group, one.ref.kind, one.ref.namespace, one.ref.name))
        # Its author can edit it where it stands in Git.
        resources.append(one._replace(origin=held.origin) if held is not None else one)
    return pipeline.judge_objects(rules.tree, rules.sources, rules.ground, resources, rules.settings, pipeline.Asked(1))


def shown(value: Object) -> Object:
    """An object as it stands in a file: without what the cluster writes of it."""
    metadata = {key: held for key, held in (value.get("metadata") or {}).items() if key not in SERVERS}
    return {**{key: held for key, held in value.items() if key != "status"}, "metadata": metadata}


class Admission:
    """Answers the API server.

    Args:
        root: the repository with the policies.
        fails_open: let pass, with a warning, what cannot be judged.
    """

    def __init__(self, root: Path, config_file: Path | None, fails_open: bool, figures: Figures) -> None:
        self._root, self._config, self._fails_open, self._figures = root, config_file, fails_open, figures
        self._reading = threading.Lock()
        self.rules = read(root, config_file)

    def refresh(self) -> None:
        """Reads the policies again, if their files have changed; what cannot be used leaves those that are in use."""
        with self._reading:
            try:
                tree = workspace_tree.gather([self._root], self._root, self.rules.settings.exclude)
                if _mark(tree) == self.rules.mark:
                    return
                self.rules = read(self._root, self._config)
                say("info", "policies were read anew", controller="admission")
            except GateError as error:
                say("error", f"the policies that were in use stay: {error}", controller="admission")

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request; None where it is about something else."""
        if request.path != PATH:
            return None
        try:
            review = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return Answer(400, b"is no JSON\n")
        asked = at(review, ("request",))
        if at(review, ("kind",)) != "AdmissionReview" or not isinstance(asked, dict) or not asked.get("uid"):
            return Answer(400, b"is no AdmissionReview\n")
        response = {"uid": asked["uid"], **self._response(asked)}
        whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return Answer(200, orjson.dumps(whole), "application/json")

    def _response(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        value, old = asked.get("object"), asked.get("oldObject")
        if asked.get("operation") not in ("CREATE", "UPDATE") or not isinstance(value, dict):
            return {"allowed": True}
        if isinstance(old, dict) and _content(value) == _content(old):
            # Whoever takes a finalizer off must not be held up by what was let in before.
            return {"allowed": True}
        began = time.monotonic()
        try:
            verdict = judged(self.rules, [_named(value, asked)])
            word, findings = verdict.word, verdict.counting
            lost = [gap.reason for gap in verdict.coverage.skipped if gap.fatal]
        except GateError as error:
            word, findings, lost = "incomplete", [], [str(error)]
        self._figures.judging.labels("admission").observe(time.monotonic() - began)
        self._figures.judged.labels("admission", word).inc()
        warnings = [_told(one)[:MOST_LETTERS] for one in findings if one.severity != "error"][:MOST_TOLD]
        errors = [one for one in findings if one.severity == "error"]
        if errors:
            return {"allowed": False, "status": _status(errors), **({"warnings": warnings} if warnings else {})}
        if word == "incomplete":
            reason = f"gatekeeper could not judge it: {'; '.join(lost[:MOST_TOLD])}"
            say("error", reason, controller="admission", kind=at(asked, ("kind", "kind")), name=asked.get("name"))
            if not self._fails_open:
                return {"allowed": False, "status": {"code": 500, "reason": "InternalError", "message": reason}}
            warnings = [reason[:MOST_LETTERS], *warnings]
        return {"allowed": True, **({"warnings": warnings} if warnings else {})}


def _content(value: Mapping[str, Any]) -> object:
    """All that policies are about: also labels and annotations, but not who manages an object, or waits for its end."""
    metadata = value.get("metadata") or {}
    few = {key: metadata.get(key) or None for key in ("labels", "annotations")}
    return few, {key: held for key, held in value.items() if key not in ("metadata", "status")}


def _named(value: Object, asked: Mapping[str, Any]) -> Object:
    """An object with the name and namespace under which it is stored; a new one may have no name yet."""
    metadata = dict(value.get("metadata") or {})
    if not metadata.get("name"):
        metadata["name"] = asked.get("name") or f"{metadata.get('generateName', '')}new"
    if asked.get("namespace") and not metadata.get("namespace"):
        metadata["namespace"] = asked["namespace"]
    return {**value, "metadata": metadata}


def _told(finding: Finding) -> str:
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{finding.rule}: {finding.message}{hint}"


def _status(errors: Sequence[Finding]) -> dict[str, Any]:
    told = [_told(one) for one in errors[:MOST_TOLD]]
    if len(errors) > MOST_TOLD:
        told.append(f"and {len(errors) - MOST_TOLD} more")
    return {"code": 403, "reason": "Forbidden", "message": "; ".join(told)}
