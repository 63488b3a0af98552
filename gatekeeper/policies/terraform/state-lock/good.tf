terraform {
  backend "s3" {
    bucket       = "state"
    key          = "shop"
    use_lockfile = true
  }
}
