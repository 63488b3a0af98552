package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"gatekeeper/upstream/terraform"
)

// terraformFiles asks for files to be parsed.
type terraformFiles struct {
	Files []terraform.File `json:"files"`
}

// parseTerraform parses files on all cores, and returns a result for each, in their order.
func parseTerraform(ctx context.Context, request terraformFiles) (any, error) {
	results := make([]terraform.Result, len(request.Files))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(request.Files)) {
		workers.Go(func() {
			for index := int(next.Add(1)) - 1; index < len(request.Files) && ctx.Err() == nil; index = int(next.Add(1)) - 1 {
				results[index] = parseGuarded(request.Files[index])
			}
		})
	}
	workers.Wait()
	return results, ctx.Err()
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
