# METADATA
# title: No hostPath volumes
# description: |
#   A hostPath volume can read and change files of the node, outside the container's limits.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: use an emptyDir, a ConfigMap or a PersistentVolumeClaim
#   standards: [PSS baseline, CIS Kubernetes 5.2.12]
package gatekeeper.pod_security.host_path

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(workload.pod_path, ["volumes", i, "hostPath"])} if {
	some i, volume in object.get(workload.pod, ["volumes"], [])
	volume.hostPath
	msg := sprintf("volume `%s` mounts a directory of the node (hostPath)", [object.get(volume, ["name"], "unnamed")])
}
