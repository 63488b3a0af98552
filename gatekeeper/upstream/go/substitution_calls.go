package main

import (
	"context"
	"encoding/json"

	"gatekeeper/upstream/parallel"
	"gatekeeper/upstream/substitution"
)

// substitutionRequest requests the substitution of variables in objects.
type substitutionRequest struct {
	Variables map[string]string `json:"variables"`
	Objects   []json.RawMessage `json:"objects"`
}

// substitute returns a result for each object, in their order.
func substitute(ctx context.Context, request substitutionRequest) (any, error) {
	return parallel.Map(ctx, request.Objects, func(object json.RawMessage) substitution.Result {
		return substitution.Substitute(object, request.Variables)
	})
}
