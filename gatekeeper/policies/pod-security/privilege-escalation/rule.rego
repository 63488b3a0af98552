# METADATA
# title: No privilege escalation
# description: |
#   Without `allowPrivilegeEscalation: false`, a setuid program in the image can give its caller root privileges.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `allowPrivilegeEscalation: false`'
#   standards: [PSS restricted, CIS Kubernetes 5.2.6]
package gatekeeper.pod_security.privilege_escalation

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "allowPrivilegeEscalation"])} if {
	some entry in workload.containers
	object.get(entry.container, ["securityContext", "allowPrivilegeEscalation"], true) != false
	msg := sprintf("container `%s` does not set `allowPrivilegeEscalation: false`", [workload.name(entry)])
}
