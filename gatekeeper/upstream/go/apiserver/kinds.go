package apiserver

import (
	"context"
	"fmt"
	"sort"

	apiextensionsinstall "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	apiregistrationinstall "k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/registry/apiservice"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
)

// kind is what is needed to validate objects of one built-in kind.
type kind struct {
	scheme   *runtime.Scheme
	decoder  runtime.Decoder
	strategy rest.RESTCreateStrategy
	begin    genericregistry.BeginCreateFunc
	resource schema.GroupResource
	// warn adds what depends on settings of the cluster; nil for most kinds.
	warn func(context.Context, runtime.Object)
}

// Validator validates objects of all built-in kinds. It is safe for concurrent use.
type Validator struct {
	kinds map[schema.GroupVersionKind]kind
}

// NewValidator builds the strategies of all built-in kinds, as the API server does when it starts.
func NewValidator() (*Validator, error) {
	// As in every cluster that runs a network plugin.
	capabilities.Setup(true, 0)
	stores, err := buildStores()
	if err != nil {
		return nil, err
	}
	kinds := map[schema.GroupVersionKind]kind{}
	decoder := newStrictDecoder(legacyscheme.Scheme)
	for gvk, store := range stores {
		if legacyscheme.Scheme.Recognizes(gvk) {
			kinds[gvk] = kind{
				scheme: legacyscheme.Scheme, decoder: decoder, strategy: store.CreateStrategy, begin: store.BeginCreate,
				resource: store.DefaultQualifiedResource, warn: warnings[gvk.GroupKind()],
			}
		}
	}
	addNamespaces(kinds, decoder)
	addDefinitions(kinds)
	addAPIServices(kinds)
	return &Validator{kinds}, nil
}

func newStrictDecoder(scheme *runtime.Scheme) runtime.Decoder {
	return kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, scheme, scheme, kjson.SerializerOptions{Strict: true})
}

// addNamespaces adds Namespace, whose storage hides its store.
func addNamespaces(kinds map[schema.GroupVersionKind]kind, decoder runtime.Decoder) {
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	resource := schema.GroupResource{Resource: "namespaces"}
	kinds[gvk] = kind{scheme: legacyscheme.Scheme, decoder: decoder, strategy: namespace.Strategy, resource: resource}
}

// addDefinitions adds CustomResourceDefinition, which the API server delegates to k8s.io/apiextensions-apiserver.
func addDefinitions(kinds map[schema.GroupVersionKind]kind) {
	scheme := runtime.NewScheme()
	apiextensionsinstall.Install(scheme)
	strategy := customresourcedefinition.NewStrategy(scheme)
	gvk := apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition")
	resource := apiextensionsv1.Resource("customresourcedefinitions")
	kinds[gvk] = kind{scheme: scheme, decoder: newStrictDecoder(scheme), strategy: strategy, resource: resource}
}

// addAPIServices adds APIService, which the API server delegates to k8s.io/kube-aggregator.
func addAPIServices(kinds map[schema.GroupVersionKind]kind) {
	scheme := runtime.NewScheme()
	apiregistrationinstall.Install(scheme)
	gvk := apiregistrationv1.SchemeGroupVersion.WithKind("APIService")
	resource := schema.GroupResource{Group: gvk.Group, Resource: "apiservices"}
	kinds[gvk] = kind{
		scheme: scheme, decoder: newStrictDecoder(scheme), strategy: apiservice.NewStrategy(scheme), resource: resource,
	}
}

// Knows reports whether a kind is built in and validated.
func (v *Validator) Knows(gvk schema.GroupVersionKind) bool {
	_, known := v.kinds[gvk]
	return known
}

// Kinds lists the validated kinds as `group/version/kind`, sorted; and those with the API server's types that are
// not validated.
func (v *Validator) Kinds() (checked, unchecked []string) {
	for gvk := range v.kinds {
		checked = append(checked, name(gvk))
	}
	for gvk, object := range legacyscheme.Scheme.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal && !v.Knows(gvk) && isResource(object.Name(), gvk) {
			unchecked = append(unchecked, name(gvk))
		}
	}
	sort.Strings(checked)
	sort.Strings(unchecked)
	return checked, unchecked
}

func name(gvk schema.GroupVersionKind) string {
	return fmt.Sprintf("%s/%s", gvk.GroupVersion(), gvk.Kind)
}

// isResource reports whether a kind can be in a manifest: not options, lists or watch events, which every version has.
func isResource(typeName string, gvk schema.GroupVersionKind) bool {
	if typeName != gvk.Kind {
		return false
	}
	object, err := legacyscheme.Scheme.New(gvk)
	if err != nil {
		return false
	}
	_, err = meta.Accessor(object)
	return err == nil
}

// Resources returns the names in addresses of the validated kinds.
func (v *Validator) Resources() map[schema.GroupVersionKind]string {
	resources := map[schema.GroupVersionKind]string{}
	for gvk, one := range v.kinds {
		resources[gvk] = one.resource.Resource
	}
	return resources
}
