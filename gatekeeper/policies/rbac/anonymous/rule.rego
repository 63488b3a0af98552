# METADATA
# title: Nobody without a name gets rights
# description: |
#   Rights of `system:anonymous` or `system:unauthenticated` are rights of everybody who reaches the API server.
# custom:
#   severity: error
#   profile: default
#   kinds: [RoleBinding, ClusterRoleBinding]
#   remedy: bind a named subject
#   standards: [CIS Kubernetes 5.1.7]
package gatekeeper.rbac.anonymous

import rego.v1

deny contains {"msg": "the binding gives rights to everybody, without logging in", "field": ["subjects", i, "name"]} if {
	some i, subject in input.subjects
	subject.name in {"system:anonymous", "system:unauthenticated"}
}
