// Package admissionpolicy evaluates policies in CEL with the API server's own validator.
package admissionpolicy

import (
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"gatekeeper/upstream/cache"
	"gatekeeper/upstream/emulation"
)

// keptPolicies bounds the compiled policies that are kept.
const keptPolicies = 2000

// Source is a policy: the specification of a ValidatingAdmissionPolicy, and whether the API server evaluates it.
//
// OPA Gatekeeper accepts every library that its API server library has, the API server only those of its version.
type Source struct {
	Name    string          `json:"name"`
	Spec    json.RawMessage `json:"spec"`
	IsInAPI bool            `json:"isInAPI"`
}

// Compiler compiles policies and keeps them by content. It is safe for concurrent use.
type Compiler struct {
	policies *cache.Results[validating.Validator]
}

// NewCompiler returns a compiler without policies.
func NewCompiler() *Compiler { return &Compiler{cache.New[validating.Validator](keptPolicies)} }

// Compile returns the validator of a policy, or the first error in its expressions.
func (c *Compiler) Compile(source Source) (validating.Validator, error) {
	text, err := json.Marshal(source)
	if err != nil {
		return nil, fmt.Errorf("the policy cannot be read: %w", err)
	}
	return c.policies.Get(text, func() (validating.Validator, error) { return compile(source) })
}

// compilation compiles the expressions of one policy.
type compilation struct {
	compiler *cel.CompositedCompiler
	mode     environment.Type
	params   bool
	err      error
}

// compile builds the validator of a policy as the API server's plugin does.
//
// Source: kubernetes `apiserver/pkg/admission/plugin/policy/validating/plugin.go` (compilePolicy).
func compile(source Source) (validating.Validator, error) {
	var spec admissionv1.ValidatingAdmissionPolicySpec
	if err := json.Unmarshal(source.Spec, &spec); err != nil {
		return nil, fmt.Errorf("the policy cannot be read: %w", err)
	}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(emulation.CompatibilityVersion()))
	if err != nil {
		return nil, fmt.Errorf("CEL cannot be set up: %w", err)
	}
	work := &compilation{compiler: compiler, mode: environment.StoredExpressions, params: spec.ParamKind != nil}
	if source.IsInAPI {
		work.mode = environment.NewExpressions
	}
	for number, one := range spec.Variables {
		variable := &validating.Variable{Name: one.Name, Expression: one.Expression}
		result := compiler.CompileAndStoreVariable(variable, work.options(true), work.mode)
		if result.Error != nil {
			work.fail(fmt.Errorf("spec.variables[%d].expression: %w", number, result.Error))
		}
	}
	validator := validating.NewValidator(
		work.condition("validations[%d].expression", validations(spec), true),
		work.matcher(spec, source.Name),
		work.condition("auditAnnotations[%d].valueExpression", annotations(spec), true),
		work.condition("validations[%d].messageExpression", messages(spec), false),
		spec.FailurePolicy, nil)
	return validator, work.err
}

func (c *compilation) options(authorizer bool) cel.OptionalVariableDeclarations {
	return cel.OptionalVariableDeclarations{HasParams: c.params, HasAuthorizer: authorizer}
}

func (c *compilation) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// condition compiles expressions, of which a policy may leave out some; place formats the path of one by its number.
func (c *compilation) condition(place string, expressions []cel.ExpressionAccessor, authorizer bool) cel.ConditionEvaluator {
	for number, expression := range expressions {
		if expression == nil {
			continue
		}
		if result := c.compiler.CompileCELExpression(expression, c.options(authorizer), c.mode); result.Error != nil {
			c.fail(fmt.Errorf("spec."+place+": %w", number, result.Error))
		}
	}
	return c.compiler.CompileCondition(expressions, c.options(authorizer), c.mode)
}

func (c *compilation) matcher(spec admissionv1.ValidatingAdmissionPolicySpec, name string) matchconditions.Matcher {
	if len(spec.MatchConditions) == 0 {
		return nil
	}
	expressions := make([]cel.ExpressionAccessor, len(spec.MatchConditions))
	for number := range spec.MatchConditions {
		expressions[number] = (*matchconditions.MatchCondition)(&spec.MatchConditions[number])
	}
	filter := c.condition("matchConditions[%d].expression", expressions, true)
	return matchconditions.NewMatcher(filter, spec.FailurePolicy, "policy", "validate", name)
}

func validations(spec admissionv1.ValidatingAdmissionPolicySpec) []cel.ExpressionAccessor {
	expressions := make([]cel.ExpressionAccessor, len(spec.Validations))
	for number, one := range spec.Validations {
		expressions[number] = &validating.ValidationCondition{
			Expression: one.Expression, Message: one.Message, Reason: one.Reason,
		}
	}
	return expressions
}

func messages(spec admissionv1.ValidatingAdmissionPolicySpec) []cel.ExpressionAccessor {
	expressions := make([]cel.ExpressionAccessor, len(spec.Validations))
	for number, one := range spec.Validations {
		if one.MessageExpression != "" {
			expressions[number] = &validating.MessageExpressionCondition{MessageExpression: one.MessageExpression}
		}
	}
	return expressions
}

func annotations(spec admissionv1.ValidatingAdmissionPolicySpec) []cel.ExpressionAccessor {
	expressions := make([]cel.ExpressionAccessor, len(spec.AuditAnnotations))
	for number, one := range spec.AuditAnnotations {
		expressions[number] = &validating.AuditAnnotationCondition{Key: one.Key, ValueExpression: one.ValueExpression}
	}
	return expressions
}
