# METADATA
# title: Pods have a controller
# description: |
#   A pod without a controller is not recreated when its node fails.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod]
#   remedy: use a Deployment, a StatefulSet or a Job
#   standards: ['Kubernetes: configuration good practices']
package gatekeeper.workloads.naked_pod

import rego.v1

deny contains {"msg": "the pod has no controller, so it is not recreated when its node fails", "field": ["kind"]} if {
	not input.metadata.ownerReferences
	not pod_of_a_test
}

pod_of_a_test if input.metadata.annotations["helm.sh/hook"]
