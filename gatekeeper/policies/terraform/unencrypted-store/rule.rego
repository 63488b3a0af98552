# METADATA
# title: Disks, snapshots and databases are encrypted
# description: |
#   Anyone who gets a copy of an unencrypted disk, snapshot or database can read it.
# custom:
#   severity: error
#   profile: default
#   kinds: [Terraform]
#   remedy: enable encryption; most stores must be recreated for this
#   standards: ["CIS AWS 2.2.1", "CIS AWS 2.3.1"]
package gatekeeper.terraform.unencrypted_store

import rego.v1

import data.gatekeeper.lib.terraform

switches := {
	"aws_db_instance": "storage_encrypted",
	"aws_rds_cluster": "storage_encrypted",
	"aws_ebs_volume": "encrypted",
	"aws_efs_file_system": "encrypted",
	"aws_docdb_cluster": "storage_encrypted",
	"aws_neptune_cluster": "storage_encrypted",
	"aws_redshift_cluster": "encrypted",
	"aws_elasticache_replication_group": "at_rest_encryption_enabled",
}

deny contains {"msg": msg, "field": array.concat(one.path, [switch])} if {
	some one in terraform.resources
	switch := switches[one.type]
	object.get(one.values, [switch], false) in {false, null}
	# A copy of a snapshot is encrypted as the snapshot is.
	not one.values.snapshot_identifier
	msg := sprintf("`%s.%s` is not encrypted", [one.type, one.name])
}

deny contains {"msg": msg, "field": one.path} if {
	some one in terraform.resources
	one.type == "aws_instance"
	some part in ["root_block_device", "ebs_block_device"]
	some block in terraform.listed(one.values, part)
	object.get(block, ["encrypted"], false) == false
	msg := sprintf("`%s.%s` has a disk that is not encrypted", [one.type, one.name])
}
