package main

import (
	"context"
	"fmt"

	"gatekeeper/upstream/health"
)

// healthRequest requests the health of objects.
type healthRequest struct {
	Objects []health.Object `json:"objects"`
}

// evaluateHealth returns the health of each object, in their order.
func evaluateHealth(ctx context.Context, request healthRequest) (any, error) {
	results := make([]health.Health, len(request.Objects))
	for index, object := range request.Objects {
		results[index] = guardHealth(ctx, object)
	}
	return results, ctx.Err()
}

// guardHealth turns a crash of the interpreter into a result, so that the other objects get theirs.
func guardHealth(ctx context.Context, object health.Object) (result health.Health) {
	defer func() {
		if fault := recover(); fault != nil {
			result = health.Health{Known: true, Fault: fmt.Sprintf("crashed the interpreter: %T", fault)}
		}
	}()
	return health.Evaluate(ctx, object)
}
