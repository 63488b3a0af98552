"""The schema engine: resources are valid by the schemas of Kubernetes and of custom resource definitions."""

from __future__ import annotations

from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.engines.rego import library
from gatekeeper.engines.schema import api_server, known_crds, type_checks, validation
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.engines.schema.schema_locations import SchemaLocations
from gatekeeper.upstream.client import prepare_client

STEP = "checking schemas"
SCOPE: EngineScope = "resources"


def evaluate(context: EngineContext) -> EngineResult:
    """Validates each target by the schema of its kind, and as the API server would when it creates it.

    Raises:
        UsageError: a folder of `crds` in the config does not exist or holds no CRD, or a location is not valid.
    """
    config = context.config
    is_needed = context.targets and not context.is_validated_by_server
    client = prepare_client(config.kubernetes) if is_needed else None
    kinds = known_crds.find_custom_kinds(context.tree, context.parsed_files, context.resources, config)
    locations = SchemaLocations(context.tree.root, config.schema_locations, config.kubernetes)
    successors, find_schema = library.load_replacement_apis, locations.find_schema
    catalog = SchemaCatalog(config.kubernetes, kinds, successors, find_schema, cache=context.cache)
    # The Go program works while the schemas are compiled.
    pending = api_server.start_validation(client, context.targets, catalog) if client else None
    findings, gaps, checked = validation.evaluate(context.targets, catalog, config.allow_missing, context.jobs)
    if client is None or pending is None:
        return EngineResult(findings, gaps, checked_count=checked)
    found = api_server.collect_result(pending, catalog)
    merged = api_server.merge(findings, found)
    type_findings, type_gaps = ([], []) if found.global_gaps else type_checks.check(client, context.targets, catalog)
    return EngineResult([*merged, *type_findings], [*gaps, *found.gaps, *type_gaps], found.global_gaps, checked)
