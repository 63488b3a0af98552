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
	results := make([]substitution.Result, len(request.Objects))
	err := parallel.ForEach(ctx, len(results), func(number int) {
		results[number] = substitution.Substitute(request.Objects[number], request.Variables)
	})
	return results, err
}
