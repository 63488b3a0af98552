package admissionpolicy

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"gatekeeper/upstream/apiserver"
	"gatekeeper/upstream/customresource"
)

// Admission completes objects as the API server does before it evaluates policies.
type Admission struct {
	builtin     *apiserver.Validator
	custom      *customresource.Kinds
	definitions map[schema.GroupVersionKind]json.RawMessage
}

// NewAdmission returns an admission with the built-in kinds, and custom kinds from their definitions.
func NewAdmission(
	builtin *apiserver.Validator, custom *customresource.Kinds, definitions []json.RawMessage,
) (*Admission, error) {
	known := map[schema.GroupVersionKind]json.RawMessage{}
	for _, text := range definitions {
		var kind schema.GroupVersionKind
		if err := json.Unmarshal(text, &kind); err != nil {
			return nil, fmt.Errorf("a definition cannot be read")
		}
		known[kind] = text
	}
	return &Admission{builtin, custom, known}, nil
}

func (a *Admission) admit(ctx context.Context, gvk schema.GroupVersionKind, text []byte) apiserver.Admitted {
	if admitted := a.builtin.Admit(ctx, gvk, text); admitted != nil {
		return admitted
	}
	definition, known := a.definitions[gvk]
	if !known {
		return nil
	}
	admitted, err := a.custom.Admit(ctx, definition, text)
	if err != nil {
		// Validate reports a definition that cannot be used; its objects are evaluated without defaults.
		return nil
	}
	return admitted
}

// admit reads an object (JSON), and completes it if the API server does.
func (e *Evaluator) admit(ctx context.Context, text []byte) (*versionedObject, error) {
	content := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &content); err != nil {
		return nil, fmt.Errorf("the object cannot be read")
	}
	plain := &unstructured.Unstructured{Object: content}
	gvk := plain.GroupVersionKind()
	object := &versionedObject{
		version:   gvk.GroupVersion(),
		converted: map[schema.GroupVersion]*unstructured.Unstructured{},
	}
	if e.admission == nil {
		object.admitted = func(schema.GroupVersion) (*unstructured.Unstructured, error) { return plain, nil }
		return object, nil
	}
	if admitted := e.admission.admit(ctx, gvk, text); admitted != nil {
		object.admitted = unstructuredOf(admitted)
		return object, nil
	}
	object.converted[object.version] = plain
	object.admitted = func(version schema.GroupVersion) (*unstructured.Unstructured, error) {
		return nil, fmt.Errorf("%s cannot be converted to %s", gvk.Kind, version)
	}
	return object, nil
}

func unstructuredOf(admitted apiserver.Admitted) func(schema.GroupVersion) (*unstructured.Unstructured, error) {
	return func(version schema.GroupVersion) (*unstructured.Unstructured, error) {
		object, err := admitted(version)
		if err != nil {
			return nil, err
		}
		if found, ok := object.(*unstructured.Unstructured); ok {
			return found, nil
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil, err
		}
		return &unstructured.Unstructured{Object: content}, nil
	}
}
