# finding: terraform[0].backend.s3[0]
terraform {
  backend "s3" {
    bucket = "state"
    key    = "shop"
  }
}
