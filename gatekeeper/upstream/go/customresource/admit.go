package customresource

import (
	"context"
	"fmt"

	structuraldefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"gatekeeper/upstream/apiserver"
)

// Admit completes a custom resource as the API server does before it evaluates policies: pruned, with defaults, and
// prepared for creation. The result is nil for an object that the API server does not decode.
//
// Source: kubernetes `apiextensions-apiserver/pkg/apiserver/customresource_handler.go`.
func (k *Kinds) Admit(ctx context.Context, definition, object []byte) (apiserver.Admitted, error) {
	kind, err := k.Open(definition)
	if err != nil {
		return nil, err
	}
	content, _ := kind.decode(object)
	if content == nil {
		return nil, nil
	}
	structuraldefaulting.Default(content.Object, kind.structural)
	apiserver.NameGenerated(content)
	// What validation refuses is reported by Validate; policies are evaluated nevertheless.
	kind.create(ctx, content)
	apiserver.IdentifyAdmitted(content)
	return func(version schema.GroupVersion) (runtime.Object, error) {
		if version.Group != kind.Group {
			return nil, fmt.Errorf("%s cannot be converted to %s", kind.Kind, version)
		}
		// The conversion strategy None: the versions differ in their names only.
		converted := content.DeepCopy()
		converted.SetAPIVersion(version.String())
		return converted, nil
	}, nil
}

// OpenAPI returns the schema of a definition (JSON) as the API server publishes it.
func (k *Kinds) OpenAPI(definition []byte) (*spec.Schema, error) {
	kind, err := k.Open(definition)
	if err != nil {
		return nil, err
	}
	return kind.structural.ToKubeOpenAPI(), nil
}
