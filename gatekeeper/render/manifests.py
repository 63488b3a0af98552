"""Resources as they stand in their files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from gatekeeper.model import FieldPath, Ref, Resource
from gatekeeper.protocols import Positions
from gatekeeper.render.origin import Plain
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source

MAX_LISTS = 3
# Groups of files that look like resources, but configure a program on somebody's machine; no cluster knows them.
PROGRAMS = {
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


def ref_of(value: dict[str, Any]) -> Ref:
    """An object's name in full; what is no text counts as not there."""
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    namespace, name = metadata.get("namespace"), metadata.get("name")
    return Ref(
        value["apiVersion"],
        value["kind"],
        namespace if isinstance(namespace, str) else "",
        name if isinstance(name, str) else "",
    )


def is_for_a_program(api_version: str, kind: str) -> bool:
    """Whether a file with these words configures a program (kind, Skaffold, kubeadm, a kubeconfig), not a cluster."""
    group = api_version.partition("/")[0] if "/" in api_version else api_version
    return group in PROGRAMS or (api_version, kind) == ("v1", "Config")


def resources(source: Source) -> Iterator[Resource]:
    """All objects of a file, those inside of a List too."""
    for document in source.documents:
        head = document.head
        if head is None or is_for_a_program(head[0], head[1]):
            continue
        if head[1].endswith("List"):
            yield from _unfold(source.file, document, documents.value_of(document), ())
        else:
            yield Resource(Ref(*head), document.json, Plain(source.file, document))


def _unfold(file: str, document: Positions, value: dict[str, Any], prefix: FieldPath) -> Iterator[Resource]:
    items = value.get("items")
    if value["kind"].endswith("List") and isinstance(items, list) and len(prefix) < 2 * MAX_LISTS:
        for index, item in enumerate(items):
            if documents.is_resource(item):
                yield from _unfold(file, document, item, (*prefix, "items", index))
        return
    yield Resource(ref_of(value), orjson.dumps(value), Plain(file, document, prefix))
