package main

import rego.v1

# A conftest policy, as many teams have it: it knows nothing of files or lines.
deny contains msg if {
	input.kind == "Deployment"
	not input.metadata.labels.owner
	msg := sprintf("Deployment %s has no label `owner`", [input.metadata.name])
}
