# METADATA
# title: The selector finds the workload's own pods
# description: |
#   The API server refuses a workload whose selector does not match its pods' labels.
# custom:
#   severity: error
#   profile: default
#   kinds: [Deployment, StatefulSet, DaemonSet, ReplicaSet]
#   remedy: write the labels of `spec.selector.matchLabels` into `spec.template.metadata.labels`
#   standards: ['Kubernetes: labels and selectors']
package gatekeeper.workloads.selector_labels

import rego.v1

deny contains {"msg": msg, "field": ["spec", "template", "metadata", "labels"]} if {
	some key, value in object.get(input, ["spec", "selector", "matchLabels"], {})
	object.get(input, ["spec", "template", "metadata", "labels", key], null) != value
	msg := sprintf("the pods have not the label `%s` that the selector asks for", [key])
}

deny contains {"msg": msg, "field": ["spec", "template", "metadata", "labels"]} if {
	count(object.get(input, ["spec", "template", "metadata", "labels"], {})) == 0
	msg := "the pods have no labels, so that no selector can find them"
}
