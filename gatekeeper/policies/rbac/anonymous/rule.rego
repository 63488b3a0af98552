# METADATA
# title: No permissions for anonymous users
# description: |
#   Permissions of `system:anonymous` or `system:unauthenticated` apply to every client that reaches the API server.
# custom:
#   severity: error
#   profile: default
#   kinds: [RoleBinding, ClusterRoleBinding]
#   remedy: bind a named subject
#   standards: [CIS Kubernetes 5.1.7]
package gatekeeper.rbac.anonymous

import rego.v1

deny contains {"msg": "the binding grants permissions to unauthenticated users", "field": ["subjects", i, "name"]} if {
	some i, subject in input.subjects
	subject.name in {"system:anonymous", "system:unauthenticated"}
}
