resource "aws_s3_bucket" "logs" {
  bucket = "logs-${var.stage}"
  acl    = "private"
}

resource "aws_s3_bucket_public_access_block" "logs" {
  bucket            = aws_s3_bucket.logs.id
  block_public_acls = true
}

resource "google_storage_bucket_iam_member" "reader" {
  bucket = "logs"
  role   = "roles/storage.objectViewer"
  member = "user:ann@example.com"
}
