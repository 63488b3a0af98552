# METADATA
# title: Seccomp is not disabled
# description: |
#   `Unconfined` lets a container make every system call, including those that applications do not need.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'use `type: RuntimeDefault`'
#   standards: [PSS baseline, CIS Kubernetes 5.6.2]
package gatekeeper.pod_security.seccomp_unconfined

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "seccomp is disabled (`Unconfined`)", "field": place.field} if {
	some place in places
	place.value == "Unconfined"
}

places contains {"field": array.concat(workload.pod_path, ["securityContext", "seccompProfile", "type"]), "value": value} if {
	value := object.get(workload.pod, ["securityContext", "seccompProfile", "type"], null)
	value != null
}

places contains {"field": array.concat(entry.path, ["securityContext", "seccompProfile", "type"]), "value": value} if {
	some entry in workload.containers
	value := object.get(entry.container, ["securityContext", "seccompProfile", "type"], null)
	value != null
}
