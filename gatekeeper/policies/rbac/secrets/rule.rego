# METADATA
# title: Cluster roles do not read all Secrets
# description: |
#   A subject that reads every Secret of a cluster has access to every system that the Secrets open.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [ClusterRole]
#   remedy: use a Role in the namespace, with `resourceNames`
#   standards: [CIS Kubernetes 5.1.2]
package gatekeeper.rbac.secrets

import rego.v1

deny contains {"msg": "the ClusterRole can read the Secrets of every namespace", "field": ["rules", i]} if {
	some i, rule in input.rules
	some resource in rule.resources
	resource in {"secrets", "*"}
	some verb in rule.verbs
	verb in {"get", "list", "watch", "*"}
	not rule.resourceNames
}
