"""Generates the built-in schemas: `python -m gatekeeper.schemas.vendor_crds NAME@VERSION CRD.yaml ...` adds CRDs here.

Descriptions are dropped. An existing version is not replaced: give newer releases first.

The CRDs are in the release or the Go module of each project: cert-manager `deploy/crds`; gateway-api
`config/crd/experimental` and then `standard`; gatekeeper `charts/gatekeeper/crds`; kyverno `config/crds`;
prometheus-operator `example/prometheus-operator-crd-full`; istio.io/api
`kubernetes/customresourcedefinitions.gen.yaml`; source-watcher: `controller-gen crd` over its API module. Each file
here names in `origins` the release that each version comes from.
"""

import sys
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.engines.schema.crds import parse_crd
from gatekeeper.workspace import documents

SCHEMA_FOLDER = Path(__file__).parent
DROPPED_KEYWORDS = {"description", "format", "example", "externalDocs", "title"}


def strip_annotations(schema: Any) -> Any:
    """The schema without descriptions; all property names are kept."""
    if isinstance(schema, list):
        return [strip_annotations(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {field: strip_annotations(part) for field, part in value.items()}
        if name == "properties"
        else strip_annotations(value)
        for name, value in schema.items()
        if name not in DROPPED_KEYWORDS
    }


def add_crds(origin: str, files: list[str]) -> None:
    """Add every version of the CRDs to the schema file of its API group.

    Raises:
        SystemExit: a file is not YAML; the message names the line.
    """
    for name in files:
        parsed, failure = documents.parse(Path(name).read_bytes())
        if failure is not None:
            raise SystemExit(f"{name}:{failure[1]}: {failure[0]}")
        for crd in map(documents.to_value, parsed):
            if not isinstance(crd, dict) or crd.get("kind") != "CustomResourceDefinition":
                continue
            target = SCHEMA_FOLDER / f"{crd['spec']['group']}.json"
            group_schemas = orjson.loads(target.read_bytes()) if target.exists() else {"origins": {}, "definitions": []}
            seen = {(entry["version"], entry["kind"]) for entry in group_schemas["definitions"]}
            for custom_kind in parse_crd(crd):
                if (custom_kind.version, custom_kind.kind) not in seen:
                    schema = strip_annotations(custom_kind.schema)
                    group_schemas["definitions"].append({**custom_kind._asdict(), "schema": schema})
                    group_schemas["origins"][f"{custom_kind.kind} {custom_kind.version}"] = origin
            group_schemas["definitions"].sort(key=lambda entry: (entry["kind"], entry["version"]))
            target.write_bytes(orjson.dumps(group_schemas, option=orjson.OPT_SORT_KEYS) + b"\n")


if __name__ == "__main__":
    add_crds(sys.argv[1], sys.argv[2:])
