# METADATA
# title: Roles have no wildcard permissions
# description: |
#   `*` for resources and verbs permits everything, including kinds that are added to the cluster later.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Role, ClusterRole]
#   remedy: list the resources and verbs that are needed
#   standards: [CIS Kubernetes 5.1.3]
package gatekeeper.rbac.wildcard

import rego.v1

deny contains {"msg": "the role permits every verb on every resource", "field": ["rules", i]} if {
	some i, rule in input.rules
	"*" in rule.verbs
	"*" in rule.resources
	"*" in rule.apiGroups
}
