# METADATA
# title: No API versions that will go
# description: |
#   A deprecated version is removed by an upgrade, and then the resource is no longer applied.
# custom:
#   severity: warning
#   profile: default
#   kinds: []
#   remedy: write the version that the message names
#   standards: ['Kubernetes: deprecated API migration guide', Flux and external-secrets release notes]
package gatekeeper.gitops.deprecated_api

import rego.v1

import data.gatekeeper.lib.deprecation

deny contains {"msg": msg, "field": ["apiVersion"]} if {
	entry := data.gatekeeper.apis[input.apiVersion][input.kind]
	not deprecation.gone(entry)
	when := object.get(entry, ["deprecated"], sprintf("removed in %s", [object.get(entry, ["removed"], "a later version")]))
	msg := sprintf("%s %s is deprecated (%s); write %s", [input.kind, input.apiVersion, when, entry.use])
}
