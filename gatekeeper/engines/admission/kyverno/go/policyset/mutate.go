package policyset

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"

	policiesv1beta1 "github.com/kyverno/api/api/policies.kyverno.io/v1beta1"
	"github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/data"
	"github.com/kyverno/kyverno/pkg/cel/matching"
	mpolcompiler "github.com/kyverno/kyverno/pkg/cel/policies/mpol/compiler"
	mpolengine "github.com/kyverno/kyverno/pkg/cel/policies/mpol/engine"
	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
	"k8s.io/client-go/openapi"
	"sigs.k8s.io/kubectl-validate/pkg/openapiclient"
)

// Mutation is an object as the mutating rules change it.
type Mutation struct {
	// Object is null if no rule changes it.
	Object json.RawMessage `json:"object"`
	// Changes are the policies and rules that changed it.
	Changes []RuleResult `json:"changes"`
	// Faults are the rules that could not be applied.
	Faults []RuleResult `json:"faults"`
}

// Mutate applies the mutating rules to each object, in the order of the policies: first those of ClusterPolicies and
// Policies, then those in CEL. The policies at the positions of skip are left out.
func (s *Set) Mutate(ctx context.Context, objects []json.RawMessage, skip []int) ([]Mutation, error) {
	mutations := make([]Mutation, len(objects))
	return mutations, forEach(ctx, len(objects), func(number int) {
		mutations[number] = s.mutateOne(ctx, objects[number], skip)
	})
}

func (s *Set) mutateOne(ctx context.Context, raw json.RawMessage, skip []int) Mutation {
	var mutation Mutation
	one, err := s.admit(raw)
	if err != nil {
		mutation.Faults = append(mutation.Faults, RuleResult{Policy: -1, Status: statusError, Message: oneLine(err.Error())})
		return mutation
	}
	before, _ := one.object.MarshalJSON()
	for _, isClassic := range []bool{true, false} {
		for index, changing := range s.policies {
			isChanging := len(changing.description.Mutating) > 0 && !slices.Contains(skip, index)
			if isChanging && (changing.classic != nil) == isClassic {
				s.apply(ctx, index, one, &mutation)
			}
		}
	}
	after, err := one.object.MarshalJSON()
	if err == nil && !bytes.Equal(before, after) {
		mutation.Object = bytes.TrimSpace(after)
	}
	return mutation
}

// apply changes an object by one policy.
func (s *Set) apply(ctx context.Context, index int, one *admitted, mutation *Mutation) {
	changing := s.policies[index]
	if changing.probe != nil && !one.isKnown {
		for _, rule := range changing.description.Mutating {
			mutation.Faults = append(mutation.Faults, RuleResult{
				Policy: index, Rule: rule, Status: statusUnknownNamespace, Message: one.object.GetNamespace(),
			})
		}
		return
	}
	type outcome struct {
		changed *admitted
		rules   []RuleResult
	}
	found, failure := pacedRun(&changing.pace, func() outcome {
		changed := *one
		if changing.classic != nil {
			return outcome{&changed, s.mutateClassic(ctx, index, changing, &changed)}
		}
		return outcome{&changed, s.mutateCel(ctx, index, changing, &changed)}
	})
	if failure != nil {
		mutation.Faults = append(mutation.Faults, RuleResult{Policy: index, Status: failure.status, Message: failure.text})
		return
	}
	one.object = found.changed.object
	for _, rule := range found.rules {
		switch rule.Status {
		case string(engineapi.RuleStatusPass):
			mutation.Changes = append(mutation.Changes, rule)
		case statusError, statusFail:
			mutation.Faults = append(mutation.Faults, rule)
		}
	}
}

func (s *Set) mutateClassic(ctx context.Context, index int, changing *policy, one *admitted) []RuleResult {
	// Kyverno computes the rules of all kinds here.
	keepRules(changing.classic, "")
	request, err := s.newContext(&one.object, one.labels())
	if err != nil {
		return []RuleResult{{Policy: index, Status: statusError, Message: oneLine(err.Error())}}
	}
	if fault := s.failedCondition(ctx, changing, one); fault != "" {
		matched := s.engine.Mutate(ctx, request.WithPolicy(withoutConditions(changing.classic)))
		return changing.failMatched(index, &matched, fault)
	}
	response := s.engine.Mutate(ctx, request.WithPolicy(changing.classic))
	var rules []RuleResult
	for _, rule := range response.PolicyResponse.Rules {
		name := changing.baseName(rule.Name())
		if !changing.refused[name] {
			rules = append(rules, RuleResult{
				Policy: index, Rule: name, Status: string(rule.Status()), Message: oneLine(rule.Message()),
			})
		}
	}
	if response.PatchedResource.Object != nil {
		one.object = response.PatchedResource
	}
	return rules
}

// schemas are those of the built-in kinds, for merging as the API server does.
var schemas = sync.OnceValue(func() mpolcompiler.TypeConverterManager {
	clients := []openapi.Client{openapiclient.NewHardcodedBuiltins("1.32")}
	if crds, err := data.Crds(); err == nil {
		clients = append(clients, openapiclient.NewLocalSchemaFiles(crds))
	}
	return mpolcompiler.NewStaticTypeConverterManager(openapiclient.NewComposite(clients...))
})

func (s *Set) mutateCel(ctx context.Context, index int, changing *policy, one *admitted) []RuleResult {
	run := mpolengine.NewEngine(changing.mutator, s.resolve, matching.NewMatcher(), schemas(), s.library)
	response, err := run.Handle(ctx, s.newRequest(one), func(candidate policiesv1beta1.MutatingPolicyLike) bool {
		return candidate.GetNamespace() == "" || candidate.GetNamespace() == one.object.GetNamespace()
	})
	if err != nil {
		return []RuleResult{{Policy: index, Status: statusError, Message: oneLine(err.Error())}}
	}
	var rules []RuleResult
	for _, found := range response.Policies {
		for _, rule := range found.Rules {
			rules = append(rules, RuleResult{
				Policy: index, Status: string(rule.Status()), Message: oneLine(rule.Message()),
			})
		}
	}
	if response.PatchedResource != nil {
		one.object = *response.PatchedResource
	}
	return rules
}
