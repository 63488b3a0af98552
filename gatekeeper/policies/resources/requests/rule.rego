# METADATA
# title: Containers request CPU and memory
# description: |
#   Without requests, the scheduler cannot reserve resources, and the pod is evicted first.
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
	msg := sprintf("container `%s` has no %s request", [workload.name(entry), what])
}
