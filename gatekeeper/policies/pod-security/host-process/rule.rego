# METADATA
# title: No Windows HostProcess containers
# description: |
#   A HostProcess container runs directly on the Windows node, without isolation.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove `windowsOptions.hostProcess`
#   standards: [PSS baseline]
package gatekeeper.pod_security.host_process

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "the container runs as a process of the Windows node (HostProcess)", "field": place.field} if {
	some place in places
	place.value == true
}

places contains {"field": array.concat(workload.pod_path, ["securityContext", "windowsOptions", "hostProcess"]), "value": value} if {
	value := object.get(workload.pod, ["securityContext", "windowsOptions", "hostProcess"], null)
	value != null
}

places contains {"field": array.concat(entry.path, ["securityContext", "windowsOptions", "hostProcess"]), "value": value} if {
	some entry in workload.containers
	value := object.get(entry.container, ["securityContext", "windowsOptions", "hostProcess"], null)
	value != null
}
