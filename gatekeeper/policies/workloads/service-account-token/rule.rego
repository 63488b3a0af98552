# METADATA
# title: No token without need
# description: |
#   The token of a ServiceAccount lets whoever reads it speak to the API server.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `automountServiceAccountToken: false` where the program does not speak to the API server'
#   standards: [CIS Kubernetes 5.1.6]
package gatekeeper.workloads.service_account_token

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": "the pod gets a token for the API server", "field": array.concat(workload.pod_path, ["automountServiceAccountToken"])} if {
	object.get(workload.pod, ["automountServiceAccountToken"], true) != false
	object.get(workload.pod, ["serviceAccountName"], "default") == "default"
}
