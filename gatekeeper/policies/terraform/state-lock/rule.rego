# METADATA
# title: The state is locked while it changes
# description: |
#   Two runs that write the same state at once leave a state that fits neither, and nobody knows what exists. A state
#   on somebody's disk is not locked for anybody else.
# custom:
#   severity: error
#   profile: default
#   kinds: [Terraform]
#   remedy: use a backend that locks (s3 with `use_lockfile = true` or a `dynamodb_table`, gcs, azurerm, remote)
#   standards: ["HashiCorp: State Locking"]
package gatekeeper.terraform.state_lock

import rego.v1

deny contains {"msg": "the state in S3 is not locked", "field": ["terraform", i, "backend", "s3", j]} if {
	some i, block in input.terraform
	some j, backend in block.backend.s3
	object.get(backend, ["use_lockfile"], false) == false
	object.get(backend, ["dynamodb_table"], "") == ""
}

deny contains {"msg": "the state is a file beside the code: nobody else is locked out", "field": ["terraform", i, "backend", "local"]} if {
	some i, block in input.terraform
	block.backend.local
}
