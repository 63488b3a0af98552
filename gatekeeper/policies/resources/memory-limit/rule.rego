# METADATA
# title: Containers have a memory limit
# description: |
#   A memory leak in a container without a limit can use all memory of the node.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: set `resources.limits.memory`
#   standards: [CIS Kubernetes 5.7.4, 'NSA: resource policies']
package gatekeeper.resources.memory_limit

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["resources", "limits", "memory"])} if {
	some entry in workload.containers
	entry.list == "containers"
	object.get(entry.container, ["resources", "limits", "memory"], null) == null
	msg := sprintf("container `%s` has no memory limit", [workload.name(entry)])
}
