# METADATA
# title: Buckets are not public
# description: |
#   Everyone can read the objects in a public bucket. Public object stores are a frequent cause of data leaks.
# custom:
#   severity: error
#   profile: default
#   kinds: [Terraform]
#   remedy: remove the public access; grant it by a role or a signed URL instead
#   standards: ["CIS AWS 2.1.4", "CIS GCP 5.1"]
package gatekeeper.terraform.public_bucket

import rego.v1

import data.gatekeeper.lib.terraform

deny contains {"msg": msg, "field": array.concat(one.path, ["acl"])} if {
	some one in terraform.resources
	one.type in {"aws_s3_bucket", "aws_s3_bucket_acl"}
	one.values.acl in {"public-read", "public-read-write", "website"}
	msg := sprintf("`%s.%s` permits public access (acl `%s`)", [one.type, one.name, one.values.acl])
}

deny contains {"msg": msg, "field": array.concat(one.path, [switch])} if {
	some one in terraform.resources
	one.type == "aws_s3_bucket_public_access_block"
	some switch in ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"]
	one.values[switch] == false
	msg := sprintf("`%s.%s` disables `%s`", [one.type, one.name, switch])
}

deny contains {"msg": msg, "field": array.concat(one.path, [field])} if {
	some one in terraform.resources
	one.type in {"google_storage_bucket_iam_member", "google_storage_bucket_iam_binding"}
	some field in ["member", "members"]
	some member in terraform.listed(one.values, field)
	member in {"allUsers", "allAuthenticatedUsers"}
	msg := sprintf("`%s.%s` grants access to `%s`", [one.type, one.name, member])
}

deny contains {"msg": msg, "field": array.concat(one.path, ["container_access_type"])} if {
	some one in terraform.resources
	one.type == "azurerm_storage_container"
	one.values.container_access_type in {"blob", "container"}
	msg := sprintf("`%s.%s` permits public read access (`%s`)", [one.type, one.name, one.values.container_access_type])
}
