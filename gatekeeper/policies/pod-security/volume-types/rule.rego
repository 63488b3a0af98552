# METADATA
# title: Only permitted volume types
# description: |
#   A network volume in the pod spec bypasses the storage classes that the cluster administrators permit.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: use a PersistentVolumeClaim
#   standards: [PSS restricted]
package gatekeeper.pod_security.volume_types

import rego.v1

import data.gatekeeper.lib.workload

allowed := {
	"name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
	"persistentVolumeClaim", "projected", "secret", "hostPath",
}

deny contains {"msg": msg, "field": array.concat(workload.pod_path, ["volumes", i, kind])} if {
	some i, volume in object.get(workload.pod, ["volumes"], [])
	some kind, _ in volume
	not kind in allowed
	msg := sprintf("volume `%s` has the type %s, which is not permitted", [object.get(volume, ["name"], "unnamed"), kind])
}
