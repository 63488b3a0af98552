# METADATA
# title: Pods have a controller
# description: |
#   A pod by itself is not started again when its node goes away.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod]
#   remedy: use a Deployment, a StatefulSet or a Job
#   standards: ['Kubernetes: configuration good practices']
package gatekeeper.workloads.naked_pod

import rego.v1

deny contains {"msg": "a pod without a controller is not replaced when it is lost", "field": ["kind"]} if {
	not input.metadata.ownerReferences
	not pod_of_a_test
}

pod_of_a_test if input.metadata.annotations["helm.sh/hook"]
