package policyset

import (
	"bytes"

	kyvernov2 "github.com/kyverno/kyverno/api/kyverno/v2"
	"github.com/kyverno/kyverno/pkg/engine/policycontext"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// newContext is the context that Kyverno's webhook builds of the request that creates an object.
func (s *Set) newContext(object *unstructured.Unstructured, labels map[string]string) (
	*policycontext.PolicyContext, error,
) {
	raw, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	kind := metav1.GroupVersionKind(object.GroupVersionKind())
	resource := metav1.GroupVersionResource(s.resourceOf(object))
	user := authenticationv1.UserInfo{Username: unknownUser, Groups: []string{authenticated}}
	isDryRun := false
	request := admissionv1.AdmissionRequest{
		Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
		Name: object.GetName(), Namespace: object.GetNamespace(), Operation: admissionv1.Create, UserInfo: user,
		Object: runtime.RawExtension{Raw: bytes.TrimSpace(raw)}, DryRun: &isDryRun,
	}
	built, err := policycontext.NewPolicyContextFromAdmissionRequest(
		s.search, request, kyvernov2.RequestInfo{AdmissionUserInfo: user}, object.GroupVersionKind(), s.config,
	)
	if err != nil {
		return nil, err
	}
	return built.WithNamespaceLabels(labels), nil
}

// resourceOf is the resource (`deployments`) of an object's kind.
func (s *Set) resourceOf(object *unstructured.Unstructured) schema.GroupVersionResource {
	kind := object.GroupVersionKind()
	plural, known := s.plurals[kind.Group+"/"+kind.Kind]
	if !known {
		guess, _ := meta.UnsafeGuessKindToResource(kind)
		plural = guess.Resource
	}
	return schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: plural}
}
