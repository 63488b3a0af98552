# METADATA
# title: Applications have a project
# description: |
#   The project `default` allows every source, every cluster and every kind.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Application]
#   remedy: make an AppProject with the sources and destinations that are meant
#   standards: ['Argo CD: projects']
package gatekeeper.gitops.argo_default_project

import rego.v1

deny contains {"msg": "the project `default` limits nothing", "field": ["spec", "project"]} if {
	startswith(input.apiVersion, "argoproj.io/")
	object.get(input, ["spec", "project"], "default") == "default"
}
