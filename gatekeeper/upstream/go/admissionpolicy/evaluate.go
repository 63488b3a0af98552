package admissionpolicy

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// none is the position of something that is missing.
const none = -1

// Row is one request, and the policies to evaluate on it.
type Row struct {
	Request json.RawMessage `json:"request"`
	// Namespace is the position of the request's Namespace; -1 without one.
	Namespace int `json:"namespace"`
	// Uses are positions of policies, each with that of its parameters (-1 without parameters), and that of the API
	// version in which it sees the object (-1 for the object's own).
	Uses [][3]int `json:"uses"`
}

// Refusal is the reason for which a policy refuses a request.
type Refusal struct {
	Message string `json:"message"`
	// IsError is true for an expression that cannot be evaluated.
	IsError bool `json:"isError,omitempty"`
	// IsDenial is true if the request is denied, whatever the actions of the binding are.
	IsDenial bool `json:"isDenial,omitempty"`
}

// Parameters are an object, and the API version in which policies read it.
type Parameters struct {
	APIVersion string          `json:"apiVersion"`
	Object     json.RawMessage `json:"object"`
}

// Batch is what a number of requests have in common.
type Batch struct {
	Policies   []Source          `json:"policies"`
	Parameters []Parameters      `json:"parameters"`
	Namespaces []json.RawMessage `json:"namespaces"`
	// Definitions are those of custom kinds.
	Definitions []json.RawMessage `json:"definitions"`
	// Versions are the API versions in which policies see objects.
	Versions []string `json:"versions"`
	// IsAdmitted is true if the API server completes the objects, as it does before it evaluates policies.
	IsAdmitted bool `json:"isAdmitted"`
}

// Evaluator evaluates the policies of one batch. It is safe for concurrent use.
type Evaluator struct {
	validators []validating.Validator
	parameters []runtime.Object
	namespaces []*corev1.Namespace
	versions   []schema.GroupVersion
	admission  *Admission
}

// NewEvaluator compiles the policies of a batch. Without an admission, objects stay as they are.
func NewEvaluator(ctx context.Context, compiler *Compiler, batch Batch, admission *Admission) (*Evaluator, error) {
	evaluator := &Evaluator{admission: admission}
	for _, source := range batch.Policies {
		validator, err := compiler.Compile(source)
		if err != nil {
			return nil, err
		}
		evaluator.validators = append(evaluator.validators, validator)
	}
	for _, text := range batch.Versions {
		version, err := schema.ParseGroupVersion(text)
		if err != nil {
			return nil, fmt.Errorf("an API version cannot be read")
		}
		evaluator.versions = append(evaluator.versions, version)
	}
	if err := evaluator.readParameters(ctx, batch.Parameters); err != nil {
		return nil, err
	}
	for _, text := range batch.Namespaces {
		namespace, err := evaluator.readNamespace(ctx, text)
		if err != nil {
			return nil, err
		}
		evaluator.namespaces = append(evaluator.namespaces, namespace)
	}
	return evaluator, nil
}

func (e *Evaluator) readParameters(ctx context.Context, parameters []Parameters) error {
	for _, one := range parameters {
		object, err := e.admit(ctx, one.Object)
		if err != nil {
			return fmt.Errorf("parameters cannot be read")
		}
		version := object.version
		if one.APIVersion != "" {
			if version, err = schema.ParseGroupVersion(one.APIVersion); err != nil {
				return fmt.Errorf("an API version of parameters cannot be read")
			}
		}
		converted, err := object.convert(version)
		if err != nil {
			return fmt.Errorf("parameters cannot be converted to %s", version)
		}
		e.parameters = append(e.parameters, converted)
	}
	return nil
}

func (e *Evaluator) readNamespace(ctx context.Context, text []byte) (*corev1.Namespace, error) {
	object, err := e.admit(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("a namespace cannot be read")
	}
	content, err := object.convert(object.version)
	if err != nil {
		return nil, fmt.Errorf("a namespace cannot be read")
	}
	namespace := &corev1.Namespace{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content.Object, namespace); err != nil {
		return nil, fmt.Errorf("a namespace cannot be read")
	}
	return namespace, nil
}

// Evaluate returns the refusals of each use of a policy, in their order.
func (e *Evaluator) Evaluate(ctx context.Context, row Row) ([][]Refusal, error) {
	request, err := e.readRequest(ctx, row.Request)
	if err != nil {
		return nil, err
	}
	var namespace *corev1.Namespace
	if row.Namespace != none {
		namespace = e.namespaces[row.Namespace]
	}
	refusals := make([][]Refusal, len(row.Uses))
	for number, use := range row.Uses {
		var parameters runtime.Object
		if use[1] != none {
			parameters = e.parameters[use[1]]
		}
		version := request.kind.GroupVersion()
		if use[2] != none {
			version = e.versions[use[2]]
		}
		attributes, err := request.attributes(version)
		if err != nil {
			return nil, err
		}
		result := e.validators[use[0]].Validate(
			ctx, version.WithResource(attributes.GetResource().Resource), attributes, parameters, namespace,
			celconfig.RuntimeCELCostBudget, nil)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		refusals[number] = collect(result)
	}
	return refusals, nil
}

func collect(result validating.ValidateResult) []Refusal {
	refusals := []Refusal{}
	for _, one := range result.Decisions {
		if one.Action == validating.ActionDeny {
			refusals = append(refusals, Refusal{one.Message, one.Evaluation == validating.EvalError, false})
		}
	}
	for _, one := range result.AuditAnnotations {
		if one.Action == validating.AuditAnnotationActionError {
			refusals = append(refusals, Refusal{one.Error, true, true})
		}
	}
	return refusals
}
