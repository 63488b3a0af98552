# METADATA
# title: The selector matches the workload's pods
# description: |
#   The API server rejects a workload whose selector does not match the labels of its pods.
# custom:
#   severity: error
#   profile: default
#   kinds: [Deployment, StatefulSet, DaemonSet, ReplicaSet]
#   remedy: add the labels of `spec.selector.matchLabels` to `spec.template.metadata.labels`
#   standards: ['Kubernetes: labels and selectors']
package gatekeeper.workloads.selector_labels

import rego.v1

deny contains {"msg": msg, "field": ["spec", "template", "metadata", "labels"]} if {
	some key, value in object.get(input, ["spec", "selector", "matchLabels"], {})
	object.get(input, ["spec", "template", "metadata", "labels", key], null) != value
	msg := sprintf("the pod template does not have the label `%s` that the selector requires", [key])
}

deny contains {"msg": msg, "field": ["spec", "template", "metadata", "labels"]} if {
	count(object.get(input, ["spec", "template", "metadata", "labels"], {})) == 0
	msg := "the pod template has no labels, so the selector cannot match its pods"
}
