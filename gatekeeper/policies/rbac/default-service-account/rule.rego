# METADATA
# title: The default ServiceAccount has no permissions
# description: |
#   Every pod that does not name a ServiceAccount uses `default` and gets its permissions.
# custom:
#   severity: warning
#   profile: default
#   kinds: [RoleBinding, ClusterRoleBinding]
#   remedy: create a ServiceAccount for the workload, and bind the role to it
#   standards: [CIS Kubernetes 5.1.5]
package gatekeeper.rbac.default_service_account

import rego.v1

deny contains {"msg": "the binding grants permissions to the `default` ServiceAccount, which every pod without a ServiceAccount uses", "field": ["subjects", i, "name"]} if {
	some i, subject in input.subjects
	subject.kind == "ServiceAccount"
	subject.name == "default"
}
