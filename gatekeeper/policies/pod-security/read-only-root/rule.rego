# METADATA
# title: The root file system is read-only
# description: |
#   An attacker cannot replace programs on a read-only file system.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `readOnlyRootFilesystem: true` and mount an emptyDir for the directories that the program writes to'
#   standards: ['NSA: immutable container file systems']
package gatekeeper.pod_security.read_only_root

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "readOnlyRootFilesystem"])} if {
	some entry in workload.containers
	object.get(entry.container, ["securityContext", "readOnlyRootFilesystem"], false) != true
	msg := sprintf("container `%s` has a writable root file system", [workload.name(entry)])
}
