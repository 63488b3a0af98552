# METADATA
# title: No bindings to cluster-admin
# description: |
#   `cluster-admin` permits every action in every namespace.
# custom:
#   severity: warning
#   profile: default
#   kinds: [RoleBinding, ClusterRoleBinding]
#   remedy: bind a role that has only the needed permissions
#   standards: [CIS Kubernetes 5.1.1]
package gatekeeper.rbac.cluster_admin

import rego.v1

deny contains {"msg": "the binding grants `cluster-admin` to its subjects", "field": ["roleRef", "name"]} if {
	input.roleRef.name == "cluster-admin"
	some subject in input.subjects
	subject.name != "system:masters"
}
