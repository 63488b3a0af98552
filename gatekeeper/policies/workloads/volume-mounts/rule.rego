# METADATA
# title: Mounted volumes exist
# description: |
#   The API server rejects a pod that mounts a volume that the pod does not define.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, DaemonSet, ReplicaSet, Job, CronJob]
#   remedy: add the volume to the pod, or correct its name
#   standards: ['Kubernetes: volumes']
package gatekeeper.workloads.volume_mounts

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["volumeMounts", i, "name"])} if {
	some entry in workload.containers
	some i, mount in object.get(entry.container, ["volumeMounts"], [])
	not mount.name in {volume.name | some volume in object.get(workload.pod, ["volumes"], [])}
	msg := sprintf("container `%s` mounts `%s`, which is not a volume of the pod", [workload.name(entry), mount.name])
}
