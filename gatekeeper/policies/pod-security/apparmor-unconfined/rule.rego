# METADATA
# title: AppArmor is not disabled
# description: |
#   `Unconfined` disables the AppArmor profile that the node applies by default.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove the profile, or use `RuntimeDefault`
#   standards: [PSS baseline]
package gatekeeper.pod_security.apparmor_unconfined

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "AppArmor is disabled (`Unconfined`)", "field": place.field} if {
	some place in places
	place.value == "Unconfined"
}

places contains {"field": array.concat(workload.pod_path, ["securityContext", "appArmorProfile", "type"]), "value": value} if {
	value := object.get(workload.pod, ["securityContext", "appArmorProfile", "type"], null)
	value != null
}

places contains {"field": array.concat(entry.path, ["securityContext", "appArmorProfile", "type"]), "value": value} if {
	some entry in workload.containers
	value := object.get(entry.container, ["securityContext", "appArmorProfile", "type"], null)
	value != null
}
