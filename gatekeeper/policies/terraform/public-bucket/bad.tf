# finding: resource.aws_s3_bucket.logs[0].acl
resource "aws_s3_bucket" "logs" {
  bucket = "logs-${var.stage}"
  acl    = "public-read"
}
