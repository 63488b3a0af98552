# METADATA
# title: No unneeded ServiceAccount token
# description: |
#   An attacker who reads the ServiceAccount token can access the API server.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `automountServiceAccountToken: false` if the program does not use the API server'
#   standards: [CIS Kubernetes 5.1.6]
package gatekeeper.workloads.service_account_token

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "the pod mounts a ServiceAccount token for the API server", "field": array.concat(workload.pod_path, ["automountServiceAccountToken"])} if {
	object.get(workload.pod, ["automountServiceAccountToken"], true) != false
	object.get(workload.pod, ["serviceAccountName"], "default") == "default"
}
