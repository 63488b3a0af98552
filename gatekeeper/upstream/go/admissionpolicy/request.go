package admissionpolicy

import (
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

// admissionRequest is a request whose objects are decoded.
type admissionRequest struct {
	admissionv1.AdmissionRequest
	kind        schema.GroupVersionKind
	object, old *versionedObject
	caller      user.Info
}

func (e *Evaluator) readRequest(ctx context.Context, text []byte) (*admissionRequest, error) {
	request := &admissionRequest{}
	if err := json.Unmarshal(text, &request.AdmissionRequest); err != nil {
		return nil, fmt.Errorf("the request cannot be read")
	}
	request.kind = schema.GroupVersionKind(request.Kind)
	var err error
	if request.object, err = e.admitOptional(ctx, request.Object.Raw); err != nil {
		return nil, err
	}
	if request.old, err = e.admitOptional(ctx, request.OldObject.Raw); err != nil {
		return nil, err
	}
	extra := map[string][]string{}
	for key, values := range request.UserInfo.Extra {
		extra[key] = values
	}
	request.caller = &user.DefaultInfo{
		Name: request.UserInfo.Username, UID: request.UserInfo.UID, Groups: request.UserInfo.Groups, Extra: extra,
	}
	return request, nil
}

// attributes are those of the request for a policy that sees objects in an API version.
func (r *admissionRequest) attributes(version schema.GroupVersion) (*admission.VersionedAttributes, error) {
	object, err := r.object.convert(version)
	if err != nil {
		return nil, fmt.Errorf("the object cannot be converted to %s", version)
	}
	old, err := r.old.convert(version)
	if err != nil {
		return nil, fmt.Errorf("the old object cannot be converted to %s", version)
	}
	options := &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{Kind: "CreateOptions", APIVersion: "meta.k8s.io/v1"}}
	attributes := &admission.VersionedAttributes{VersionedKind: version.WithKind(r.kind.Kind)}
	// An interface that holds a nil pointer is not nil.
	if object != nil {
		attributes.VersionedObject = object
	}
	if old != nil {
		attributes.VersionedOldObject = old
	}
	attributes.Attributes = admission.NewAttributesRecord(
		attributes.VersionedObject, attributes.VersionedOldObject, r.kind, r.Namespace, r.Name,
		schema.GroupVersionResource(r.Resource), r.SubResource, admission.Operation(r.Operation), options,
		r.DryRun != nil && *r.DryRun, r.caller)
	return attributes, nil
}

func (e *Evaluator) admitOptional(ctx context.Context, text []byte) (*versionedObject, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	return e.admit(ctx, text)
}

// versionedObject is an object that can be converted to the API versions of its kind. It is not for concurrent use.
type versionedObject struct {
	version   schema.GroupVersion
	admitted  func(schema.GroupVersion) (*unstructured.Unstructured, error)
	converted map[schema.GroupVersion]*unstructured.Unstructured
}

// convert returns the object in an API version, each converted once, and not for each policy; nil of no object.
func (o *versionedObject) convert(version schema.GroupVersion) (*unstructured.Unstructured, error) {
	if o == nil {
		return nil, nil
	}
	if found := o.converted[version]; found != nil {
		return found, nil
	}
	object, err := o.admitted(version)
	if err != nil {
		return nil, err
	}
	o.converted[version] = object
	return object, nil
}
