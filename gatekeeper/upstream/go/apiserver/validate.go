package apiserver

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validate/content"
	genericvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"gatekeeper/upstream/finding"
)

// DefaultNamespace is that of a namespaced object which names none, as with kubectl.
const DefaultNamespace = metav1.NamespaceDefault

// Validate returns the reasons why the API server would refuse to create an object, given as JSON.
//
// The markers identify values that are not known yet, such as a variable or ciphertext: a value that cannot be decoded
// and contains one is left out instead of refused.
//
// Source: kubernetes `apiserver/pkg/endpoints/handlers/create.go` and `apiserver/pkg/registry/generic/registry`.
func (v *Validator) Validate(parent context.Context, gvk schema.GroupVersionKind, object []byte, markers []string) finding.Result {
	one, known := v.kinds[gvk]
	if !known {
		return finding.Result{Unchecked: fmt.Sprintf("%s is not a built-in kind that is validated", name(gvk))}
	}
	decoded, findings := decode(one, gvk, object, markers)
	if decoded == nil {
		return finding.Result{Findings: findings}
	}
	one.scheme.Default(decoded)
	internal, err := one.toInternal(gvk, decoded)
	if err != nil {
		return finding.Result{Findings: append(findings, finding.Finding{Type: finding.Undecodable, Detail: err.Error()})}
	}
	warnings := &finding.Warnings{}
	ctx := warning.WithWarningRecorder(parent, warnings)
	if one.warn != nil {
		one.warn(ctx, internal)
	}
	refusals := create(ctx, gvk, one, internal)
	refusals = finding.WithoutConsequences(refusals, findings)
	return finding.Result{Findings: append(append(findings, refusals...), warnings.Findings()...)}
}

// toInternal converts an object without a copy, which may share values with the result, as the API server's decoder does.
func (k kind) toInternal(gvk schema.GroupVersionKind, decoded runtime.Object) (runtime.Object, error) {
	internal := schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	return k.scheme.UnsafeConvertToVersion(decoded, internal)
}

// create does what the API server does with a decoded object before it is stored.
func create(parent context.Context, gvk schema.GroupVersionKind, one kind, object runtime.Object) []finding.Finding {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return finding.FromError(err)
	}
	namespace := requestNamespace(one, accessor)
	ctx := WithRequest(parent, gvk, one.resource.Resource, namespace)
	rest.WipeObjectMetaSystemFields(accessor)
	// The API server writes its own.
	accessor.SetManagedFields(nil)
	if err := rest.EnsureObjectNamespaceMatchesRequestNamespace(namespace, accessor); err != nil {
		return finding.FromError(err)
	}
	rest.FillObjectMetaSystemFields(accessor)
	if accessor.GetGenerateName() != "" && accessor.GetName() == "" {
		accessor.SetName(one.strategy.GenerateName(accessor.GetGenerateName()))
	}
	if one.begin != nil {
		finish, err := one.begin(ctx, object, &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return finding.FromError(err)
		}
		defer finish(ctx, false)
	}
	return BeforeCreate(ctx, one.strategy, object, accessor)
}

// BeforeCreate is rest.BeforeCreate, with the field errors as they are.
func BeforeCreate(
	ctx context.Context, strategy rest.RESTCreateStrategy, object runtime.Object, accessor metav1.Object,
) []finding.Finding {
	strategy.PrepareForCreate(ctx, object)
	if errs := strategy.Validate(ctx, object); len(errs) > 0 {
		return finding.FromErrors(errs)
	}
	errs := genericvalidation.ValidateObjectMetaAccessor(
		accessor, strategy.NamespaceScoped(), validatePathSegment, field.NewPath("metadata"))
	if len(errs) > 0 {
		return finding.FromErrors(errs)
	}
	for _, text := range strategy.WarningsOnCreate(ctx, object) {
		warning.AddWarning(ctx, "", text)
	}
	return nil
}

func validatePathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// requestNamespace is the namespace in the address of the request: the scope is that of the kind.
func requestNamespace(one kind, accessor metav1.Object) string {
	switch {
	case !one.strategy.NamespaceScoped():
		return metav1.NamespaceNone
	case accessor.GetNamespace() == "":
		return DefaultNamespace
	default:
		return accessor.GetNamespace()
	}
}

// WithRequest returns a context as that of an administrator's request to create an object.
func WithRequest(parent context.Context, gvk schema.GroupVersionKind, resource, namespace string) context.Context {
	ctx := request.WithNamespace(parent, namespace)
	ctx = request.WithUser(ctx, &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup}})
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: gvk.Group, APIVersion: gvk.Version,
		Resource: resource, Namespace: namespace,
	})
}

func containsMarker(text string, markers []string) bool {
	for _, marker := range markers {
		if strings.Contains(text, marker) {
			return true
		}
	}
	return false
}
