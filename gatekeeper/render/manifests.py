"""Resources in files, before any rendering."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from gatekeeper.model import FieldPath, ObjectRef, ParsedDocument, Resource, build_ref
from gatekeeper.render.model import FileOrigin
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile

MAX_NESTED_LISTS = 3
# API groups of files that look like resources, but configure a program; no cluster has these kinds.
PROGRAM_GROUPS = {
    "apiserver.config.k8s.io",
    "audit.k8s.io",
    "backstage.io",
    "builtin",
    "chainsaw.kyverno.io",
    "cli.kyverno.io",
    "config.kpt.dev",
    "credentialprovider.kubelet.k8s.io",
    "ctlptl.dev",
    "eksctl.io",
    "fn.kpt.dev",
    "k3d.io",
    "kind.x-k8s.io",
    "kpt.dev",
    "kubeadm.k8s.io",
    "kubelet.config.k8s.io",
    "kubeproxy.config.k8s.io",
    "kubescheduler.config.k8s.io",
    "kuttl.dev",
    "meta.pkg.crossplane.io",
    "schema.plugin.fluxcd.io",
    "skaffold",
    "tanka.dev",
    "test.gatekeeper.sh",
}


@lru_cache(1000)
def is_program_config(api_version: str, kind: str) -> bool:
    """Whether an object configures a program (kind, Skaffold, kubeadm, a kubeconfig), not a cluster."""
    group = api_version.partition("/")[0]
    return group in PROGRAM_GROUPS or (api_version, kind) == ("v1", "Config")


def list_resources(parsed_file: ParsedFile) -> Iterator[Resource]:
    """All objects of a file, including those inside a List."""
    for document in parsed_file.documents:
        head = document.head
        if head is None or is_program_config(head[0], head[1]):
            continue
        if head[1].endswith("List"):
            yield from _expand_list(parsed_file.file, document, documents.to_value(document), ())
        else:
            yield Resource(ObjectRef(*head), document.json, FileOrigin(parsed_file.file, document))


def _expand_list(file: str, document: ParsedDocument, value: dict[str, Any], prefix: FieldPath) -> Iterator[Resource]:
    items = value.get("items")
    if value["kind"].endswith("List") and isinstance(items, list) and len(prefix) < 2 * MAX_NESTED_LISTS:
        for index, item in enumerate(items):
            if documents.is_resource(item):
                yield from _expand_list(file, document, item, (*prefix, "items", index))
        return
    yield Resource(build_ref(value), orjson.dumps(value), FileOrigin(file, document, prefix))
