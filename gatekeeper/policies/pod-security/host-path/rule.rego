# METADATA
# title: No folders of the node
# description: |
#   A hostPath volume reads or changes the node itself, past every limit of the container.
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
	msg := sprintf("volume `%s` mounts a folder of the node", [object.get(volume, ["name"], "unnamed")])
}
