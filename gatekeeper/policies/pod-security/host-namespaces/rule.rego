# METADATA
# title: Pods stay out of the node's namespaces
# description: |
#   With the node's network, processes or IPC a pod sees and reaches what is not its own.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove the field, or give the workload a namespace and a waiver of its own
#   standards: [PSS baseline, CIS Kubernetes 5.2.3, CIS Kubernetes 5.2.4, CIS Kubernetes 5.2.5]
package gatekeeper.pod_security.host_namespaces

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(workload.pod_path, [field])} if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	object.get(workload.pod, [field], false) == true
	msg := sprintf("the pod shares the node's namespace (`%s`)", [field])
}
