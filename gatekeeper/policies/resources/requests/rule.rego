# METADATA
# title: CPU and memory are requested
# description: |
#   Without requests the scheduler guesses, and the pod is the first to be evicted.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: set `resources.requests` for cpu and memory
#   standards: ['NSA: resource policies']
package gatekeeper.resources.requests

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["resources", "requests", what])} if {
	some entry in workload.main_containers
	some what in ["cpu", "memory"]
	object.get(entry.container, ["resources", "requests", what], object.get(entry.container, ["resources", "limits", what], null)) == null
	msg := sprintf("container `%s` requests no %s", [workload.name(entry), what])
}
