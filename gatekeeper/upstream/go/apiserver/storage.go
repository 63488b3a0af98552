// Package apiserver validates built-in kinds as the API server does when it creates an object.
package apiserver

import (
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	admissionregistrationrest "k8s.io/kubernetes/pkg/registry/admissionregistration/rest"
	apiserverinternalrest "k8s.io/kubernetes/pkg/registry/apiserverinternal/rest"
	appsrest "k8s.io/kubernetes/pkg/registry/apps/rest"
	autoscalingrest "k8s.io/kubernetes/pkg/registry/autoscaling/rest"
	batchrest "k8s.io/kubernetes/pkg/registry/batch/rest"
	certificatesrest "k8s.io/kubernetes/pkg/registry/certificates/rest"
	coordinationrest "k8s.io/kubernetes/pkg/registry/coordination/rest"
	discoveryrest "k8s.io/kubernetes/pkg/registry/discovery/rest"
	eventsrest "k8s.io/kubernetes/pkg/registry/events/rest"
	flowcontrolrest "k8s.io/kubernetes/pkg/registry/flowcontrol/rest"
	networkingrest "k8s.io/kubernetes/pkg/registry/networking/rest"
	noderest "k8s.io/kubernetes/pkg/registry/node/rest"
	policyrest "k8s.io/kubernetes/pkg/registry/policy/rest"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	resourcerest "k8s.io/kubernetes/pkg/registry/resource/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"
	storagerest "k8s.io/kubernetes/pkg/registry/storage/rest"
	storagemigrationrest "k8s.io/kubernetes/pkg/registry/storagemigration/rest"
)

// provider builds the storages of one API group; the API server has the same interface.
type provider interface {
	GroupName() string
	NewRESTStorage(serverstorage.APIResourceConfigSource, generic.RESTOptionsGetter) (genericapiserver.APIGroupInfo, error)
}

// allResources enables every version of every resource: which of them a cluster serves is checked elsewhere.
type allResources struct{}

func (allResources) ResourceEnabled(schema.GroupVersionResource) bool           { return true }
func (allResources) AnyResourceForGroupEnabled(string) bool                     { return true }
func (allResources) ResourceExplicitlyEnabled(schema.GroupVersionResource) bool { return true }
func (allResources) VersionExplicitlyEnabled(schema.GroupVersion) bool          { return true }

// noOptions gives every store a storage that stores nothing: only the strategies of the stores are used.
type noOptions struct{}

func (noOptions) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.ConfigForResource{GroupResource: resource}
	return generic.RESTOptions{StorageConfig: &config, Decorator: decorate, ResourcePrefix: resource.Resource}, nil
}

func decorate(
	*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object,
	func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	return nil, func() {}, nil
}

// providers are those of the API server (pkg/controlplane/instance.go), without requests that are never stored
// (authentication, authorization) and without the core group, whose provider needs a running server.
func providers() []provider {
	allow := authorizerfactory.NewAlwaysAllowAuthorizer()
	return []provider{
		admissionregistrationrest.RESTStorageProvider{Authorizer: allow},
		apiserverinternalrest.StorageProvider{},
		appsrest.StorageProvider{},
		autoscalingrest.RESTStorageProvider{},
		batchrest.RESTStorageProvider{},
		certificatesrest.RESTStorageProvider{Authorizer: allow},
		coordinationrest.RESTStorageProvider{},
		discoveryrest.StorageProvider{},
		eventsrest.RESTStorageProvider{},
		flowcontrolrest.RESTStorageProvider{},
		networkingrest.RESTStorageProvider{},
		noderest.RESTStorageProvider{},
		policyrest.RESTStorageProvider{},
		rbacrest.RESTStorageProvider{Authorizer: allow},
		resourcerest.RESTStorageProvider{NamespaceClient: adminNamespaces{}, Authorizer: allow},
		schedulingrest.RESTStorageProvider{},
		storagerest.RESTStorageProvider{},
		storagemigrationrest.RESTStorageProvider{},
	}
}

// buildStores returns the store of each served kind.
func buildStores() (map[schema.GroupVersionKind]*genericregistry.Store, error) {
	stores := map[schema.GroupVersionKind]*genericregistry.Store{}
	core, err := buildCoreStorage()
	if err != nil {
		return nil, err
	}
	if err := addStores(stores, schema.GroupVersion{Version: "v1"}, core); err != nil {
		return nil, err
	}
	for _, one := range providers() {
		info, err := one.NewRESTStorage(allResources{}, noOptions{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.GroupName(), err)
		}
		for version, storages := range info.VersionedResourcesStorageMap {
			if err := addStores(stores, schema.GroupVersion{Group: one.GroupName(), Version: version}, storages); err != nil {
				return nil, err
			}
		}
	}
	return stores, nil
}

func addStores(
	stores map[schema.GroupVersionKind]*genericregistry.Store, version schema.GroupVersion, storages map[string]rest.Storage,
) error {
	for name, one := range storages {
		if strings.Contains(name, "/") {
			continue
		}
		store := findStore(reflect.ValueOf(one))
		if store == nil || store.CreateStrategy == nil {
			continue
		}
		kinds, _, err := legacyscheme.Scheme.ObjectKinds(one.New())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		stores[version.WithKind(kinds[0].Kind)] = store
	}
	return nil
}

// findStore looks for the generic store that a resource's storage embeds, directly or inside a wrapper.
func findStore(value reflect.Value) *genericregistry.Store {
	for value.Kind() == reflect.Interface || value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return nil
		}
		if store, ok := value.Interface().(*genericregistry.Store); ok {
			return store
		}
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return nil
	}
	for i := range value.NumField() {
		if value.Type().Field(i).Anonymous && value.Type().Field(i).IsExported() {
			if store := findStore(value.Field(i)); store != nil {
				return store
			}
		}
	}
	return nil
}
