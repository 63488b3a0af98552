# The pod spec in each kind of workload, and its containers with their paths.
package gatekeeper.lib.workload

import rego.v1

# The path to the pod spec, by kind.
pod_path := path if {
	path := {
		"Pod": ["spec"],
		"Deployment": ["spec", "template", "spec"],
		"StatefulSet": ["spec", "template", "spec"],
		"DaemonSet": ["spec", "template", "spec"],
		"ReplicaSet": ["spec", "template", "spec"],
		"ReplicationController": ["spec", "template", "spec"],
		"Job": ["spec", "template", "spec"],
		"CronJob": ["spec", "jobTemplate", "spec", "template", "spec"],
	}[input.kind]
}

pod := object.get(input, pod_path, {})

# Every container: {"path", "container", "list"}.
containers contains {"path": array.concat(pod_path, [list, i]), "container": container, "list": list} if {
	some list in ["containers", "initContainers", "ephemeralContainers"]
	some i, container in object.get(pod, [list], [])
}

# The containers that run for as long as the pod.
main_containers contains entry if {
	some entry in containers
	entry.list == "containers"
}

name(entry) := object.get(entry.container, ["name"], "unnamed")
