# METADATA
# title: SELinux options stay within the container policy
# description: |
#   A custom SELinux user, role or type removes a pod from the container policy.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove `seLinuxOptions`, or use one of the container types
#   standards: [PSS baseline]
package gatekeeper.pod_security.selinux

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "the SELinux options are outside the container policy", "field": place.field} if {
	some place in places
	not harmless(place.value)
}

places contains {"field": array.concat(workload.pod_path, ["securityContext", "seLinuxOptions"]), "value": value} if {
	value := object.get(workload.pod, ["securityContext", "seLinuxOptions"], null)
	value != null
}

places contains {"field": array.concat(entry.path, ["securityContext", "seLinuxOptions"]), "value": value} if {
	some entry in workload.containers
	value := object.get(entry.container, ["securityContext", "seLinuxOptions"], null)
	value != null
}

harmless(options) if {
	object.get(options, ["user"], "") == ""
	object.get(options, ["role"], "") == ""
	object.get(options, ["type"], "") in {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
}
