# METADATA
# title: No secrets as defaults of variables
# description: |
#   A default is readable in the repository, in the state and in every plan. Terraform prints a variable for a secret
#   in every plan unless the variable is marked as sensitive.
# custom:
#   severity: error
#   profile: default
#   kinds: [Terraform]
#   remedy: remove the default, mark the variable as sensitive, and read the value from a secret store
#   standards: ["HashiCorp: Protect sensitive input variables"]
package gatekeeper.terraform.variable_secret

import rego.v1

secret(name) if regex.match(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|access_?key|credentials?)($|_)`, name)

deny contains {"msg": msg, "field": ["variable", name, i, "default"]} if {
	some name, blocks in input.variable
	secret(name)
	some i, block in blocks
	is_string(block.default)
	block.default != ""
	msg := sprintf("variable `%s` has a secret as its default", [name])
}

deny contains {"msg": msg, "field": ["variable", name, i]} if {
	some name, blocks in input.variable
	secret(name)
	some i, block in blocks
	object.get(block, ["sensitive"], false) == false
	msg := sprintf("variable `%s` is not marked as sensitive, so plans print it", [name])
}

deny contains {"msg": msg, "field": ["provider", name, i, field]} if {
	some name, blocks in input.provider
	some i, block in blocks
	some field in ["access_key", "secret_key", "password", "token", "client_secret"]
	is_string(block[field])
	block[field] != ""
	not contains(block[field], "${")
	msg := sprintf("provider `%s` has a plaintext `%s`", [name, field])
}
