# METADATA
# title: No removed API versions
# description: |
#   The API server rejects a version that it no longer serves, so the resource cannot be applied.
# custom:
#   severity: error
#   profile: default
#   kinds: []
#   remedy: use the API version that the message names, and check the fields that changed with it
#   standards: ['Kubernetes: deprecated API migration guide', Flux and external-secrets release notes]
package gatekeeper.gitops.removed_api

import rego.v1

import data.gatekeeper.lib.deprecation

deny contains {"msg": msg, "field": ["apiVersion"]} if {
	entry := data.gatekeeper.apis[input.apiVersion][input.kind]
	deprecation.is_removed(entry)
	msg := sprintf("%s %s was removed in %s; use %s", [input.kind, input.apiVersion, entry.removed, entry.use])
}
