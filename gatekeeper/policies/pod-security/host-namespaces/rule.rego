# METADATA
# title: Pods do not share the node's namespaces
# description: |
#   With the node's network, PID or IPC namespace, a pod can see and reach other processes of the node.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove the field, or move the workload to a separate namespace and waive the finding
#   standards: [PSS baseline, CIS Kubernetes 5.2.3, CIS Kubernetes 5.2.4, CIS Kubernetes 5.2.5]
package gatekeeper.pod_security.host_namespaces

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(workload.pod_path, [field])} if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	object.get(workload.pod, [field], false) == true
	msg := sprintf("the pod shares the node's namespace (`%s`)", [field])
}
