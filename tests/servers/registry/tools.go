//go:build tools

// Package tools names the program that is built here, so that Go keeps what it needs.
package tools

import _ "github.com/distribution/distribution/v3/cmd/registry"
