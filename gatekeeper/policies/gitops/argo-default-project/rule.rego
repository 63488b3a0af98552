# METADATA
# title: Applications use an AppProject of their team
# description: |
#   The AppProject `default` permits every source, every destination and every kind.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Application]
#   remedy: create an AppProject that permits only the needed sources and destinations
#   standards: ['Argo CD: projects']
package gatekeeper.gitops.argo_default_project

import rego.v1

deny contains {"msg": "the AppProject `default` permits every source, destination and kind", "field": ["spec", "project"]} if {
	startswith(input.apiVersion, "argoproj.io/")
	object.get(input, ["spec", "project"], "default") == "default"
}
