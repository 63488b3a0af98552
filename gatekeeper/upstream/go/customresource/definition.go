// Package customresource validates custom resources as the API server does, by the schema of their definition.
package customresource

import (
	"encoding/json"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuraldefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Definition is one version of a custom kind, as its CustomResourceDefinition has it.
type Definition struct {
	Group        string                                      `json:"group"`
	Version      string                                      `json:"version"`
	Kind         string                                      `json:"kind"`
	Namespaced   bool                                        `json:"namespaced"`
	Schema       *apiextensionsv1.JSONSchemaProps            `json:"schema"`
	Subresources *apiextensionsv1.CustomResourceSubresources `json:"subresources"`
	// PreserveUnknownFields is that of the definition, which only definitions from before v1 have.
	PreserveUnknownFields bool `json:"preserveUnknownFields"`
}

func (d Definition) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: d.Group, Version: d.Version, Kind: d.Kind}
}

// Kind is a definition that is ready to validate objects.
type Kind struct {
	Definition
	structural *structuralschema.Structural
	strategy   rest.RESTCreateStrategy
}

// compile prepares a definition (JSON).
//
// Source: kubernetes `apiextensions-apiserver/pkg/apiserver/customresource_handler.go`.
func compile(raw []byte) (*Kind, error) {
	var definition Definition
	if err := json.Unmarshal(raw, &definition); err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	if definition.Schema == nil {
		return nil, fmt.Errorf("the definition has no schema")
	}
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Schema, internal, nil); err != nil {
		return nil, fmt.Errorf("the schema cannot be converted: %w", err)
	}
	structural, err := buildStructural(internal)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be compiled: %w", err)
	}
	status, scale, err := convertSubresources(definition.Subresources)
	if err != nil {
		return nil, err
	}
	strategy := customresource.NewStrategy(
		crdserverscheme.NewUnstructuredObjectTyper(), definition.Namespaced, definition.gvk(), validator, nil, structural,
		status, scale, nil)
	return &Kind{definition, structural, strategy}, nil
}

func buildStructural(internal *apiextensions.JSONSchemaProps) (*structuralschema.Structural, error) {
	structural, err := structuralschema.NewStructural(internal)
	if err != nil {
		return nil, fmt.Errorf("the schema is not structural: %w", err)
	}
	if errs := structuralschema.ValidateStructural(nil, structural); len(errs) > 0 {
		return nil, fmt.Errorf("the schema is not structural: %w", errs[0])
	}
	// Defaults are shared with the schema otherwise.
	structural = structural.DeepCopy()
	if err := structuraldefaulting.PruneDefaults(structural); err != nil {
		return nil, fmt.Errorf("the defaults of the schema cannot be used: %w", err)
	}
	return structural, nil
}

func convertSubresources(
	subresources *apiextensionsv1.CustomResourceSubresources,
) (*apiextensions.CustomResourceSubresourceStatus, *apiextensions.CustomResourceSubresourceScale, error) {
	if subresources == nil {
		return nil, nil, nil
	}
	internal := &apiextensions.CustomResourceSubresources{}
	err := apiextensionsv1.Convert_v1_CustomResourceSubresources_To_apiextensions_CustomResourceSubresources(subresources, internal, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("the subresources cannot be converted: %w", err)
	}
	return internal.Status, internal.Scale, nil
}
