# METADATA
# title: "`runAsUser` is not 0"
# description: |
#   `runAsUser: 0` is root, even if the image sets a different user.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: set `runAsUser` to a user ID above 0
#   standards: [PSS restricted]
package gatekeeper.pod_security.root_user

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "`runAsUser: 0` runs the container as root", "field": place.field} if {
	some place in places
	place.value == 0
}

places contains {"field": array.concat(workload.pod_path, ["securityContext", "runAsUser"]), "value": value} if {
	value := object.get(workload.pod, ["securityContext", "runAsUser"], null)
	value != null
}

places contains {"field": array.concat(entry.path, ["securityContext", "runAsUser"]), "value": value} if {
	some entry in workload.containers
	value := object.get(entry.container, ["securityContext", "runAsUser"], null)
	value != null
}
