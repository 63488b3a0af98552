package main

import (
	"context"
	"fmt"

	"gatekeeper/upstream/admissionpolicy"
	"gatekeeper/upstream/parallel"
)

// compilePolicies returns the error of each policy in CEL; empty for one that compiles.
func (c *calls) compilePolicies(_ context.Context, batch admissionpolicy.Batch) (any, error) {
	errors := make([]string, len(batch.Policies))
	for number, source := range batch.Policies {
		if _, err := c.policies.Compile(source); err != nil {
			errors[number] = err.Error()
		}
	}
	return errors, nil
}

// policyBatch requests the evaluation of policies in CEL on requests.
type policyBatch struct {
	admissionpolicy.Batch
	Rows []admissionpolicy.Row `json:"rows"`
}

// rowResult has the refusals of each use of a policy, or why the request was not evaluated.
type rowResult struct {
	Uses  [][]admissionpolicy.Refusal `json:"uses,omitempty"`
	Error string                      `json:"error,omitempty"`
}

// evaluatePolicies returns a result for each request, in their order; all cores evaluate.
func (c *calls) evaluatePolicies(ctx context.Context, batch policyBatch) (any, error) {
	admission, err := c.newAdmission(batch.Batch)
	if err != nil {
		return nil, err
	}
	evaluator, err := admissionpolicy.NewEvaluator(ctx, c.policies, batch.Batch, admission)
	if err != nil {
		return nil, err
	}
	return parallel.Map(ctx, batch.Rows, func(row admissionpolicy.Row) rowResult {
		return evaluateRow(ctx, evaluator, row)
	})
}

// newAdmission returns what completes the objects of a batch; nil if they stay as they are.
func (c *calls) newAdmission(batch admissionpolicy.Batch) (*admissionpolicy.Admission, error) {
	if !batch.IsAdmitted {
		return nil, nil
	}
	builtin, err := c.builtin()
	if err != nil {
		return nil, err
	}
	return admissionpolicy.NewAdmission(builtin, c.custom, batch.Definitions)
}

// evaluateRow turns a crash of a library into a result, so that the other requests are still evaluated.
func evaluateRow(ctx context.Context, evaluator *admissionpolicy.Evaluator, row admissionpolicy.Row) (result rowResult) {
	defer func() {
		if fault := recover(); fault != nil {
			result = rowResult{Error: fmt.Sprintf("the API server's evaluation crashed: %v", fault)}
		}
	}()
	uses, err := evaluator.Evaluate(ctx, row)
	if err != nil {
		return rowResult{Error: err.Error()}
	}
	return rowResult{Uses: uses}
}

// checkTypes returns the warnings about the types in the expressions of each policy.
func (c *calls) checkTypes(ctx context.Context, request admissionpolicy.TypeCheck) (any, error) {
	builtin, err := c.builtin()
	if err != nil {
		return nil, err
	}
	return request.Check(ctx, c.custom, builtin.Resources())
}
