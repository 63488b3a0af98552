package policyset

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	policiesv1beta1 "github.com/kyverno/api/api/policies.kyverno.io/v1beta1"
	celengine "github.com/kyverno/kyverno/pkg/cel/engine"
	"github.com/kyverno/kyverno/pkg/cel/matching"
	vpolengine "github.com/kyverno/kyverno/pkg/cel/policies/vpol/engine"
	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
	"github.com/kyverno/kyverno/pkg/engine/policycontext"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gatekeeper/kyverno/files"
)

const (
	statusUnknownNamespace = "unknownNamespace"
	// statusLost is for a policy that is evaluated on no further object.
	statusLost  = "lost"
	statusError = string(engineapi.RuleStatusError)
	statusFail  = string(engineapi.RuleStatusFail)
	// unknownUser applies the repository: no exclusion for a user holds, but all users are authenticated.
	unknownUser, authenticated = "gatekeeper:unknown", "system:authenticated"
)

// RuleResult is the result of a rule on an object.
type RuleResult struct {
	Policy  int    `json:"policy"`
	Rule    string `json:"rule"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
	// Path is the field at fault, as Kyverno writes it; empty where it names none.
	Path string `json:"path,omitempty"`
	// Enforced says whether the cluster refuses the object.
	Enforced bool `json:"enforced,omitempty"`
}

// admitted is an object in the form in which policies judge it.
type admitted struct {
	object    unstructured.Unstructured
	namespace *corev1.Namespace
	isKnown   bool
	// request is the context of the object for rules of ClusterPolicies and Policies, which restore it.
	request *policycontext.PolicyContext
}

func (s *Set) admit(raw json.RawMessage) (*admitted, error) {
	var one admitted
	if err := one.object.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if name := one.object.GetNamespace(); name != "" {
		one.namespace, one.isKnown = s.namespace(name)
	} else {
		one.isKnown = true
	}
	return &one, nil
}

func (a *admitted) labels() map[string]string {
	if a.namespace == nil {
		return nil
	}
	return a.namespace.Labels
}

// Evaluate returns the results of the validating rules for each object, in the order of the objects.
func (s *Set) Evaluate(ctx context.Context, objects []json.RawMessage, only [][]int) ([][]RuleResult, error) {
	results := make([][]RuleResult, len(objects))
	everywhere := make([]int, len(s.policies))
	for index := range everywhere {
		everywhere[index] = index
	}
	return results, forEach(ctx, len(objects), func(number int) {
		one, err := s.admit(objects[number])
		if err != nil {
			results[number] = []RuleResult{{Policy: -1, Status: statusError, Message: oneLine(err.Error())}}
			return
		}
		selected := everywhere
		if only != nil {
			selected = only[number]
		}
		for _, index := range selected {
			if index >= 0 && index < len(s.policies) && len(s.policies[index].description.Rules) > 0 {
				results[number] = append(results[number], s.judge(ctx, index, one)...)
			}
		}
	})
}

// judge returns the results of one policy on one object.
func (s *Set) judge(ctx context.Context, index int, one *admitted) []RuleResult {
	judged := s.policies[index]
	if judged.probe != nil && !one.isKnown {
		var unknown []RuleResult
		for _, result := range s.run(ctx, index, judged.probe, one) {
			isSure := judged.probe.isExact && result.Status == string(engineapi.RuleStatusPass)
			if result.Status != string(engineapi.RuleStatusSkip) && !isSure {
				result.Status, result.Message = statusUnknownNamespace, one.object.GetNamespace()
				unknown = append(unknown, result)
			}
		}
		return unknown
	}
	return s.run(ctx, index, judged, one)
}

// run evaluates a policy with a deadline; a policy that misses it is not evaluated again.
func (s *Set) run(ctx context.Context, index int, judged *policy, one *admitted) []RuleResult {
	if judged.classic != nil && one.request == nil {
		request, err := s.newContext(&one.object, one.labels())
		if err != nil {
			return []RuleResult{{Policy: index, Status: statusError, Message: oneLine(err.Error())}}
		}
		one.request = request
	}
	results, failure := pacedRun(&judged.pace, func() []RuleResult {
		if judged.classic != nil {
			return s.runClassic(ctx, index, judged, one)
		}
		return s.runValidating(ctx, index, judged, one)
	})
	if failure != nil {
		// The run may still use the context.
		one.request = nil
		for _, rule := range judged.description.Rules {
			results = append(results, RuleResult{Policy: index, Rule: rule, Status: failure.status, Message: failure.text})
		}
	}
	return results
}

func (s *Set) runClassic(ctx context.Context, index int, judged *policy, one *admitted) []RuleResult {
	keepRules(judged.classic, one.object.GetKind())
	var results []RuleResult
	run := s.engine
	if judged.ignoresExceptions {
		run = s.strict
	}
	if fault := s.failedCondition(ctx, judged, one); fault != "" {
		// The API server evaluates conditions only on objects that a rule may match.
		matched := run.Validate(ctx, one.request.WithPolicy(withoutConditions(judged.classic)))
		return judged.failMatched(index, &matched, fault)
	}
	var response engineapi.EngineResponse
	validate := func() { response = run.Validate(ctx, one.request.WithPolicy(judged.classic)) }
	if !judged.verifiesManifests {
		validate()
	} else if err := files.WithPipes(validate); err != nil {
		return []RuleResult{{Policy: index, Status: statusError, Message: oneLine(err.Error())}}
	}
	for _, rule := range response.PolicyResponse.Rules {
		name := judged.baseName(rule.Name())
		if judged.refused[name] || rule.RuleType() != engineapi.Validation {
			continue
		}
		text, path := judged.readMessage(name, &rule)
		alone := response.WithPolicyResponse(engineapi.PolicyResponse{Rules: []engineapi.RuleResponse{rule}})
		results = append(results, RuleResult{
			Policy: index, Rule: name, Status: string(rule.Status()), Message: text, Path: path,
			Enforced: rule.Status() == engineapi.RuleStatusFail && judged.classic.GetSpec().AdmissionProcessingEnabled() &&
				alone.HasEnforcedFailure(),
		})
	}
	return results
}

// baseName is the name of a rule as the author wrote it, without the prefixes for controllers of Pods.
func (p *policy) baseName(name string) string {
	for _, rule := range p.classic.GetSpec().Rules {
		if name == rule.Name || name == "autogen-"+rule.Name || name == "autogen-cronjob-"+rule.Name {
			return rule.Name
		}
		// Names have at most 63 characters, so a prefix may cut off their end.
		for _, prefix := range []string{"autogen-cronjob-", "autogen-"} {
			if cut, found := strings.CutPrefix(name, prefix); found && len(name) >= 63 && strings.HasPrefix(rule.Name, cut) {
				return rule.Name
			}
		}
	}
	return name
}

func (s *Set) runValidating(ctx context.Context, index int, judged *policy, one *admitted) []RuleResult {
	run := vpolengine.NewEngine(judged.validator, s.resolve, matching.NewMatcher())
	response, err := run.Handle(ctx, s.newRequest(one), func(candidate policiesv1beta1.ValidatingPolicyLike) bool {
		return candidate.GetNamespace() == "" || candidate.GetNamespace() == one.object.GetNamespace()
	})
	if err != nil {
		return []RuleResult{{Policy: index, Status: statusError, Message: oneLine(err.Error())}}
	}
	var results []RuleResult
	for _, found := range response.Policies {
		for _, rule := range found.Rules {
			results = append(results, RuleResult{
				Policy: index, Status: string(rule.Status()), Message: oneLine(rule.Message()),
				Enforced: rule.Status() == engineapi.RuleStatusFail && denies(judged.validating),
			})
		}
	}
	return results
}

func denies(policy policiesv1beta1.ValidatingPolicyLike) bool {
	if !policy.GetValidatingPolicySpec().AdmissionEnabled() {
		return false
	}
	for _, action := range policy.GetValidatingPolicySpec().ValidationActions() {
		if action == admissionregistrationv1.Deny {
			return true
		}
	}
	return false
}

// resolve returns a namespace for Kyverno's matcher.
func (s *Set) resolve(name string) *corev1.Namespace {
	namespace, _ := s.namespace(name)
	return namespace
}

func (s *Set) newRequest(one *admitted) celengine.EngineRequest {
	object := one.object.DeepCopy()
	return celengine.Request(
		s.library, object.GroupVersionKind(), s.resourceOf(object), "", object.GetName(), object.GetNamespace(), admissionv1.Create,
		authenticationv1.UserInfo{}, object, nil, false, nil,
	)
}

func unexpected(fault any) string {
	return oneLine(fmt.Sprintf("Kyverno crashed: %v", fault))
}
