"""Makes the built-in schemas: `python -m gatekeeper.schemas.vendor_crds NAME@VERSION CRD.yaml ...` adds CRDs here.

Only what judges is kept (no descriptions). A version that is there already stays as it is: give newer releases first.

Where the CRDs are, in the release or the Go module of each project: cert-manager `deploy/crds`; gateway-api
`config/crd/experimental` and then `standard`; gatekeeper `charts/gatekeeper/crds`; kyverno `config/crds`;
prometheus-operator `example/prometheus-operator-crd-full`; istio.io/api
`kubernetes/customresourcedefinitions.gen.yaml`; source-watcher: `controller-gen crd` over its API module. Each file
here notes under `origins` the release that a version was made from.
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
    """The schema without texts for people; names of properties are kept, whatever they are."""
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
    """Adds every version of the CRDs to the file of its API group.

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
            held = orjson.loads(target.read_bytes()) if target.exists() else {"origins": {}, "definitions": []}
            seen = {(entry["version"], entry["kind"]) for entry in held["definitions"]}
            for found in parse_crd(crd):
                if (found.version, found.kind) not in seen:
                    held["definitions"].append({**found._asdict(), "schema": strip_annotations(found.schema)})
                    held["origins"][f"{found.kind} {found.version}"] = origin
            held["definitions"].sort(key=lambda entry: (entry["kind"], entry["version"]))
            target.write_bytes(orjson.dumps(held, option=orjson.OPT_SORT_KEYS) + b"\n")


if __name__ == "__main__":
    add_crds(sys.argv[1], sys.argv[2:])
