# METADATA
# title: Deployments have a label `owner`
# description: |
#   Replace this example: say why it matters, in one or two sentences.
# custom:
#   severity: error
#   profile: strict
#   kinds: [Deployment]
#   remedy: add the label `owner` with the name of a team
#   standards: ['Kubernetes: labels and selectors']
package PACKAGE

import rego.v1

# A message, and the field whose line the report shows.
deny contains {"msg": msg, "field": ["metadata", "labels", "owner"]} if {
	input.kind == "Deployment"
	not input.metadata.labels.owner
	msg := sprintf("Deployment %s has no label `owner`", [input.metadata.name])
}
