package policyset

import (
	"context"
	"errors"

	kyvernov1 "github.com/kyverno/kyverno/api/kyverno/v1"
	"github.com/kyverno/kyverno/pkg/admissionpolicy"
	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
	policyvalidation "github.com/kyverno/kyverno/pkg/validation/policy"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
)

// newConditions compiles `webhookConfiguration.matchConditions`, which the API server evaluates before it calls
// Kyverno; nil without any.
func newConditions(from kyvernov1.PolicyInterface) (matchconditions.Matcher, error) {
	conditions := from.GetSpec().GetMatchConditions()
	if len(conditions) == 0 {
		return nil, nil
	}
	if reason := refuseExpressions(conditions); reason != "" {
		return nil, errors.New(reason)
	}
	if err := policyvalidation.ValidateCustomWebhookMatchConditions(conditions); err != nil {
		return nil, err
	}
	compiler, err := admissionpolicy.NewCompiler(conditions, nil)
	if err != nil {
		return nil, err
	}
	filter := compiler.CompileMatchConditions(plugincel.OptionalVariableDeclarations{})
	return matchconditions.NewMatcher(filter, nil, from.GetKind(), "", from.GetName()), nil
}

// failedCondition is why a condition cannot be evaluated on an object; Kyverno itself would take it as no match.
func (s *Set) failedCondition(ctx context.Context, judged *policy, one *admitted) string {
	if judged.conditions == nil {
		return ""
	}
	kind := one.object.GroupVersionKind()
	attributes := admission.NewAttributesRecord(
		one.object.DeepCopy(), nil, kind, one.object.GetNamespace(), one.object.GetName(), s.resourceOf(&one.object), "",
		admission.Create, nil, false, nil,
	)
	interfaces := admission.NewObjectInterfacesFromScheme(runtime.NewScheme())
	versioned, err := admission.NewVersionedAttributes(attributes, kind, interfaces)
	if err != nil {
		return err.Error()
	}
	if result := judged.conditions.Match(ctx, versioned, nil, nil); result.Error != nil {
		return result.Error.Error()
	}
	return ""
}

// failMatched returns an error for each rule that matches an object on which a condition cannot be evaluated.
func (p *policy) failMatched(index int, matched *engineapi.EngineResponse, fault string) []RuleResult {
	var results []RuleResult
	for _, rule := range matched.PolicyResponse.Rules {
		if name := p.baseName(rule.Name()); !p.refused[name] {
			results = append(results, RuleResult{Policy: index, Rule: name, Status: statusError, Message: oneLine(fault)})
		}
	}
	return results
}

// withoutConditions is a policy without its conditions, with which Kyverno's validation asks a cluster for its version.
func withoutConditions(from kyvernov1.PolicyInterface) kyvernov1.PolicyInterface {
	if !from.GetSpec().CustomWebhookMatchConditions() {
		return from
	}
	stripped := from.CreateDeepCopy()
	stripped.GetSpec().WebhookConfiguration.MatchConditions = nil
	return stripped
}
