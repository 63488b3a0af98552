# METADATA
# title: Nobody is bound to cluster-admin
# description: |
#   cluster-admin may do everything, in every namespace.
# custom:
#   severity: warning
#   profile: default
#   kinds: [RoleBinding, ClusterRoleBinding]
#   remedy: bind a role with the rights that are needed
#   standards: [CIS Kubernetes 5.1.1]
package gatekeeper.rbac.cluster_admin

import rego.v1

deny contains {"msg": "the binding makes its subjects cluster-admin", "field": ["roleRef", "name"]} if {
	input.roleRef.name == "cluster-admin"
	some subject in input.subjects
	subject.name != "system:masters"
}
