# METADATA
# title: Roles name what they allow
# description: |
#   `*` for resources and verbs allows everything, also what is added to the cluster later.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Role, ClusterRole]
#   remedy: list the resources and verbs that are needed
#   standards: [CIS Kubernetes 5.1.3]
package gatekeeper.rbac.wildcard

import rego.v1

deny contains {"msg": "the role allows everything on everything", "field": ["rules", i]} if {
	some i, rule in input.rules
	"*" in rule.verbs
	"*" in rule.resources
	"*" in rule.apiGroups
}
