//go:build tools

// Package tools names the programs that are built here, so that Go keeps what they need.
package tools

import (
	_ "github.com/bitnami/sealed-secrets/cmd/controller"
	_ "github.com/bitnami/sealed-secrets/cmd/kubeseal"
)
