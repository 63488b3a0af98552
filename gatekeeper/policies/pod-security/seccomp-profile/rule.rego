# METADATA
# title: A seccomp profile is set
# description: |
#   Without a profile, a container can make every system call.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `seccompProfile: {type: RuntimeDefault}` for the pod'
#   standards: [PSS restricted, CIS Kubernetes 5.6.2]
package gatekeeper.pod_security.seccomp_profile

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "seccompProfile"])} if {
	some entry in workload.containers
	whole := object.get(workload.pod, ["securityContext", "seccompProfile", "type"], "")
	object.get(entry.container, ["securityContext", "seccompProfile", "type"], whole) == ""
	msg := sprintf("container `%s` has no seccomp profile", [workload.name(entry)])
}
