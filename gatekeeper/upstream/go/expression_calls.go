package main

import (
	"context"

	"gatekeeper/upstream/expressions"
)

// expressionRequest has expressions of one or more kinds.
type expressionRequest struct {
	Data      map[string][]byte     `json:"data"`
	Templates []string              `json:"templates"`
	Lookups   []expressions.Lookup  `json:"lookups"`
	Renames   []expressions.Rename  `json:"renames"`
	Removals  []expressions.Removal `json:"removals"`
}

// evaluateExpressions returns an answer for each template, lookup, rename and removal, in this order.
func evaluateExpressions(ctx context.Context, request expressionRequest) (any, error) {
	data := make(map[string]string, len(request.Data))
	for key, value := range request.Data {
		data[key] = string(value)
	}
	answers := []expressions.Answer{}
	for _, text := range request.Templates {
		answers = append(answers, expressions.Fill(text, data))
	}
	for _, lookup := range request.Lookups {
		answers = append(answers, lookup.Find())
	}
	for _, rename := range request.Renames {
		answers = append(answers, rename.Apply())
	}
	for _, removal := range request.Removals {
		answers = append(answers, removal.Apply(ctx))
	}
	return answers, ctx.Err()
}
