# METADATA
# title: All capabilities are dropped
# description: |
#   Most applications need none of the capabilities that a container gets by default.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `capabilities: {drop: [ALL]}`'
#   standards: [PSS restricted, CIS Kubernetes 5.2.10]
package gatekeeper.pod_security.drop_capabilities

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "capabilities", "drop"])} if {
	some entry in workload.containers
	not "ALL" in object.get(entry.container, ["securityContext", "capabilities", "drop"], [])
	msg := sprintf("container `%s` does not drop the default capabilities", [workload.name(entry)])
}
