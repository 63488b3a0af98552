# METADATA
# title: The default ServiceAccount has no rights
# description: |
#   Every pod that names no ServiceAccount uses `default`, and so gets its rights.
# custom:
#   severity: warning
#   profile: default
#   kinds: [RoleBinding, ClusterRoleBinding]
#   remedy: make a ServiceAccount for the workload
#   standards: [CIS Kubernetes 5.1.5]
package gatekeeper.rbac.default_service_account

import rego.v1

deny contains {"msg": "the binding gives rights to every pod of the namespace that names no account", "field": ["subjects", i, "name"]} if {
	some i, subject in input.subjects
	subject.kind == "ServiceAccount"
	subject.name == "default"
}
