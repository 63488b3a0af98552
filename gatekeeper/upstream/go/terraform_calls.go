package main

import (
	"context"

	"gatekeeper/upstream/parallel"
	"gatekeeper/upstream/terraform"
)

// terraformFiles contains the files to parse.
type terraformFiles struct {
	Files []terraform.File `json:"files"`
}

// parseTerraform parses files on all cores, and returns a result for each, in their order.
func parseTerraform(ctx context.Context, request terraformFiles) (any, error) {
	return parallel.Map(ctx, request.Files, parseGuarded)
}

// parseGuarded turns a crash of the parser into a fault of one file, so that the others are still parsed.
func parseGuarded(file terraform.File) (result terraform.Result) {
	defer func() {
		if recover() != nil {
			result = terraform.Result{Fault: &terraform.Fault{Message: "HashiCorp's parser crashed"}}
		}
	}()
	return terraform.Parse(file)
}
