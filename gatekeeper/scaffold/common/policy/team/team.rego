# METADATA
# title: Every workload names its team
# description: During an incident, the on-call engineer must know which team to contact.
package main

import rego.v1

workloads := {"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"}

deny contains {"msg": msg, "field": ["metadata", "labels"]} if {
	workloads[input.kind]
	not input.metadata.labels.team
	msg := sprintf("%s %s has no label `team`", [input.kind, input.metadata.name])
}
