# METADATA
# title: No deprecated API versions
# description: |
#   An upgrade removes a deprecated version; after that, the resource can no longer be applied.
# custom:
#   severity: warning
#   profile: default
#   kinds: []
#   remedy: use the API version that the message names
#   standards: ['Kubernetes: deprecated API migration guide', Flux and external-secrets release notes]
package gatekeeper.gitops.deprecated_api

import rego.v1

import data.gatekeeper.lib.deprecation

deny contains {"msg": msg, "field": ["apiVersion"]} if {
	entry := data.gatekeeper.apis[input.apiVersion][input.kind]
	not deprecation.is_removed(entry)
	when := object.get(entry, ["deprecated"], sprintf("removed in %s", [object.get(entry, ["removed"], "a later version")]))
	msg := sprintf("%s %s is deprecated (%s); use %s", [input.kind, input.apiVersion, when, entry.use])
}
