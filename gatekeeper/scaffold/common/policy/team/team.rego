# METADATA
# title: Every workload says whose it is
# description: Whoever is woken at night has to know whom to ask.
package main

import rego.v1

workloads := {"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"}

deny contains {"msg": msg, "field": ["metadata", "labels"]} if {
	workloads[input.kind]
	not input.metadata.labels.team
	msg := sprintf("%s %s has no label `team`", [input.kind, input.metadata.name])
}
