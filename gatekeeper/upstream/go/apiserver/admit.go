package apiserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"

	"gatekeeper/upstream/finding"
)

// Admitted objects have the same system fields in each run.
const (
	admittedUID    = "00000000-0000-0000-0000-000000000000"
	generatedLabel = "00000"
)

// Admitted returns an object as validating admission policies see it, in the version that they match.
type Admitted func(schema.GroupVersion) (runtime.Object, error)

// Admit completes an object as the API server does before it evaluates policies: decoded, with defaults, and prepared
// for creation. The result is nil for a kind that is not built in, and for an object that the API server does not
// decode.
//
// Source: kubernetes `apiserver/pkg/registry/generic/registry/store.go` (Create).
func (v *Validator) Admit(ctx context.Context, gvk schema.GroupVersionKind, object []byte) Admitted {
	one, known := v.kinds[gvk]
	if !known {
		return nil
	}
	decoded, err := one.read(gvk, object)
	if _, strict := finding.FromStrictError(err); decoded == nil || (err != nil && !strict) {
		return nil
	}
	one.scheme.Default(decoded)
	internal, err := one.toInternal(gvk, decoded)
	if err != nil {
		return nil
	}
	accessor, err := meta.Accessor(internal)
	if err != nil {
		return nil
	}
	NameGenerated(accessor)
	if pod, ok := internal.(*core.Pod); ok {
		if err := completePod(ctx, pod); err != nil {
			return nil
		}
	}
	// What validation refuses is reported by Validate; policies are evaluated nevertheless.
	create(ctx, gvk, one, internal)
	IdentifyAdmitted(accessor)
	return func(version schema.GroupVersion) (runtime.Object, error) {
		versioned, err := one.scheme.ConvertToVersion(internal, version)
		if err != nil {
			return nil, err
		}
		versioned.GetObjectKind().SetGroupVersionKind(version.WithKind(gvk.Kind))
		return versioned, nil
	}
}

// completePod sets what admission plugins that are on by default set in every Pod: ServiceAccount, of which the volume
// with a token is left out, and DefaultTolerationSeconds.
func completePod(ctx context.Context, pod *core.Pod) error {
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = serviceaccount.DefaultServiceAccountName
	}
	gvk, resource := core.SchemeGroupVersion.WithKind("Pod"), core.SchemeGroupVersion.WithResource("pods")
	attributes := admission.NewAttributesRecord(
		pod, nil, gvk, pod.Namespace, pod.Name, resource, "", admission.Create, &metav1.CreateOptions{}, false, nil)
	plugin := defaulttolerationseconds.NewDefaultTolerationSeconds()
	plugin.InspectFeatureGates(utilfeature.DefaultFeatureGate)
	return plugin.Admit(ctx, attributes, nil)
}

// NameGenerated gives an object with a generated name the same name in each run.
func NameGenerated(object metav1.Object) {
	if object.GetName() == "" && object.GetGenerateName() != "" {
		object.SetName(object.GetGenerateName() + generatedLabel)
	}
}

// IdentifyAdmitted sets the system fields of an admitted object.
func IdentifyAdmitted(object metav1.Object) {
	object.SetUID(admittedUID)
	object.SetCreationTimestamp(metav1.NewTime(time.Unix(0, 0).UTC()))
}
