# METADATA
# title: No API versions that are gone
# description: |
#   The API server refuses a version that it no longer serves, so the resource is never applied.
# custom:
#   severity: error
#   profile: default
#   kinds: []
#   remedy: write the version that the message names, and check the fields that changed with it
#   standards: ['Kubernetes: deprecated API migration guide', Flux and external-secrets release notes]
package gatekeeper.gitops.removed_api

import rego.v1

import data.gatekeeper.lib.deprecation

deny contains {"msg": msg, "field": ["apiVersion"]} if {
	entry := data.gatekeeper.apis[input.apiVersion][input.kind]
	deprecation.gone(entry)
	msg := sprintf("%s %s was removed in %s; write %s", [input.kind, input.apiVersion, entry.removed, entry.use])
}
