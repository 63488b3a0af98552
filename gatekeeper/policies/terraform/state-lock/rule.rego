# METADATA
# title: Terraform state is locked
# description: |
#   Two concurrent runs that write the same state corrupt it: the state no longer matches the infrastructure. A local
#   state file is not locked for other users.
# custom:
#   severity: error
#   profile: default
#   kinds: [Terraform]
#   remedy: use a backend with locking (s3 with `use_lockfile = true` or a `dynamodb_table`, gcs, azurerm, remote)
#   standards: ["HashiCorp: State Locking"]
package gatekeeper.terraform.state_lock

import rego.v1

deny contains {"msg": "the S3 backend does not lock the state", "field": ["terraform", i, "backend", "s3", j]} if {
	some i, block in input.terraform
	some j, backend in block.backend.s3
	object.get(backend, ["use_lockfile"], false) == false
	object.get(backend, ["dynamodb_table"], "") == ""
}

deny contains {"msg": "the state is a local file, which is not locked for other users", "field": ["terraform", i, "backend", "local"]} if {
	some i, block in input.terraform
	block.backend.local
}
