package apiserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gatekeeper/upstream/finding"
)

// Admitted objects have the same system fields in each run.
const (
	admittedUID    = "00000000-0000-0000-0000-000000000000"
	generatedLabel = "00000"
)

// Admit returns an object as validating admission policies see it: decoded, with defaults, and prepared for creation.
// The result is nil for a kind that is not built in, and for an object that the API server does not decode.
//
// Source: kubernetes `apiserver/pkg/registry/generic/registry/store.go` (Create).
func (v *Validator) Admit(ctx context.Context, gvk schema.GroupVersionKind, object []byte) runtime.Object {
	one, known := v.kinds[gvk]
	if !known {
		return nil
	}
	decoded, _, err := one.decoder.Decode(object, nil, nil)
	if _, strict := finding.FromStrictError(err); decoded == nil || (err != nil && !strict) {
		return nil
	}
	one.scheme.Default(decoded)
	internal, err := one.scheme.ConvertToVersion(decoded, schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return nil
	}
	accessor, err := meta.Accessor(internal)
	if err != nil {
		return nil
	}
	if accessor.GetName() == "" && accessor.GetGenerateName() != "" {
		accessor.SetName(accessor.GetGenerateName() + generatedLabel)
	}
	// What validation refuses is reported by Validate; policies are evaluated nevertheless.
	create(ctx, gvk, one, internal)
	accessor.SetUID(admittedUID)
	accessor.SetCreationTimestamp(metav1.NewTime(time.Unix(0, 0).UTC()))
	versioned, err := one.scheme.ConvertToVersion(internal, gvk.GroupVersion())
	if err != nil {
		return nil
	}
	versioned.GetObjectKind().SetGroupVersionKind(gvk)
	return versioned
}
