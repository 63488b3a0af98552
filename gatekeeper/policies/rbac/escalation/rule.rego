# METADATA
# title: Roles do not permit privilege escalation
# description: |
#   With `escalate`, `bind` or `impersonate`, a subject can grant itself every permission.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Role, ClusterRole]
#   remedy: remove the verb
#   standards: [CIS Kubernetes 5.1.8]
package gatekeeper.rbac.escalation

import rego.v1

deny contains {"msg": msg, "field": ["rules", i, "verbs", j]} if {
	some i, rule in input.rules
	some j, verb in rule.verbs
	verb in {"escalate", "bind", "impersonate"}
	msg := sprintf("the verb `%s` lets subjects of this role grant themselves every permission", [verb])
}
