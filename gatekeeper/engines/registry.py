"""All policy engines, in the order in which they run."""

from __future__ import annotations

from gatekeeper.engines.admission import engine as admission
from gatekeeper.engines.encrypted import decryption_check
from gatekeeper.engines.encrypted import engine as encrypted
from gatekeeper.engines.plaintext import engine as plaintext
from gatekeeper.engines.protocol import Engine
from gatekeeper.engines.references import engine as references
from gatekeeper.engines.rego import engine as rego
from gatekeeper.engines.schema import engine as schema
from gatekeeper.engines.schema import json_schema_policies
from gatekeeper.engines.secret_access import engine as secret_access

ENGINES: dict[str, Engine] = {
    "schema": schema,
    "rego": rego,
    "admission": admission,
    "json-schema": json_schema_policies,
    "references": references,
    "plaintext": plaintext,
    "encrypted": encrypted,
    "secret-access": secret_access,
    "decryption": decryption_check,
}
