package admissionpolicy

import (
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	kjson "sigs.k8s.io/json"
)

// Row is one request, and the policies to evaluate on it.
type Row struct {
	Request json.RawMessage `json:"request"`
	// Namespace is the position of the request's Namespace; -1 without one.
	Namespace int `json:"namespace"`
	// Uses are positions of policies, each with that of its parameters; -1 without parameters.
	Uses [][2]int `json:"uses"`
}

// Refusal is the reason for which a policy refuses a request. IsError tells an expression that cannot be evaluated.
type Refusal struct {
	Message string `json:"message"`
	IsError bool   `json:"isError,omitempty"`
}

// Batch is what a number of requests have in common.
type Batch struct {
	Policies   []Source          `json:"policies"`
	Parameters []json.RawMessage `json:"parameters"`
	Namespaces []json.RawMessage `json:"namespaces"`
	// IsAdmitted tells that the API server completes the objects, as it does before it evaluates policies.
	IsAdmitted bool `json:"isAdmitted"`
}

// Admit completes an object of a built-in kind as the API server does before admission; nil leaves it as it is.
type Admit func(context.Context, schema.GroupVersionKind, []byte) runtime.Object

// Evaluator evaluates the policies of one batch. It is safe for concurrent use.
type Evaluator struct {
	validators []validating.Validator
	parameters []runtime.Object
	namespaces []*corev1.Namespace
	admit      Admit
}

// NewEvaluator compiles the policies of a batch.
func NewEvaluator(compiler *Compiler, batch Batch, admit Admit) (*Evaluator, error) {
	evaluator := &Evaluator{admit: admit}
	if !batch.IsAdmitted {
		evaluator.admit = nil
	}
	for _, source := range batch.Policies {
		validator, err := compiler.Compile(source)
		if err != nil {
			return nil, err
		}
		evaluator.validators = append(evaluator.validators, validator)
	}
	for _, text := range batch.Parameters {
		object, err := decode(text)
		if err != nil {
			return nil, fmt.Errorf("parameters cannot be read")
		}
		evaluator.parameters = append(evaluator.parameters, object)
	}
	for _, text := range batch.Namespaces {
		var namespace corev1.Namespace
		if err := json.Unmarshal(text, &namespace); err != nil {
			return nil, fmt.Errorf("a namespace cannot be read")
		}
		evaluator.namespaces = append(evaluator.namespaces, &namespace)
	}
	return evaluator, nil
}

// Evaluate returns the refusals of each use of a policy, in their order.
func (e *Evaluator) Evaluate(ctx context.Context, row Row) ([][]Refusal, error) {
	var request admissionv1.AdmissionRequest
	if err := json.Unmarshal(row.Request, &request); err != nil {
		return nil, fmt.Errorf("the request cannot be read")
	}
	attributes, err := e.buildAttributes(ctx, &request)
	if err != nil {
		return nil, err
	}
	var namespace *corev1.Namespace
	if row.Namespace >= 0 {
		namespace = e.namespaces[row.Namespace]
	}
	refusals := make([][]Refusal, len(row.Uses))
	for number, use := range row.Uses {
		var parameters runtime.Object
		if use[1] >= 0 {
			parameters = e.parameters[use[1]]
		}
		result := e.validators[use[0]].Validate(
			ctx, attributes.GetResource(), attributes, parameters, namespace, celconfig.RuntimeCELCostBudget, nil)
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
			refusals = append(refusals, Refusal{one.Message, one.Evaluation == validating.EvalError})
		}
	}
	for _, one := range result.AuditAnnotations {
		if one.Action == validating.AuditAnnotationActionError {
			refusals = append(refusals, Refusal{one.Error, true})
		}
	}
	return refusals
}

func (e *Evaluator) buildAttributes(ctx context.Context, request *admissionv1.AdmissionRequest) (*admission.VersionedAttributes, error) {
	gvk := schema.GroupVersionKind(request.Kind)
	object, err := e.decodeObject(ctx, gvk, request.Object.Raw)
	if err != nil {
		return nil, err
	}
	old, err := e.decodeObject(ctx, gvk, request.OldObject.Raw)
	if err != nil {
		return nil, err
	}
	extra := map[string][]string{}
	for key, values := range request.UserInfo.Extra {
		extra[key] = values
	}
	caller := &user.DefaultInfo{
		Name: request.UserInfo.Username, UID: request.UserInfo.UID, Groups: request.UserInfo.Groups, Extra: extra,
	}
	options := &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{Kind: "CreateOptions", APIVersion: "meta.k8s.io/v1"}}
	record := admission.NewAttributesRecord(
		object, old, gvk, request.Namespace, request.Name, schema.GroupVersionResource(request.Resource),
		request.SubResource, admission.Operation(request.Operation), options, request.DryRun != nil && *request.DryRun, caller)
	return &admission.VersionedAttributes{
		Attributes: record, VersionedObject: object, VersionedOldObject: old, VersionedKind: gvk,
	}, nil
}

func (e *Evaluator) decodeObject(ctx context.Context, gvk schema.GroupVersionKind, text []byte) (runtime.Object, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	if e.admit != nil {
		if object := e.admit(ctx, gvk, text); object != nil {
			// Converted once, and not for each policy.
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
			if err != nil {
				return nil, fmt.Errorf("the object cannot be converted")
			}
			return &unstructured.Unstructured{Object: content}, nil
		}
	}
	return decode(text)
}

func decode(text []byte) (runtime.Object, error) {
	content := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &content); err != nil {
		return nil, fmt.Errorf("the object cannot be read")
	}
	return &unstructured.Unstructured{Object: content}, nil
}
