package policyset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/kyverno/kyverno/pkg/cel/libs"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// configMaps are the ConfigMaps of the repository, by NAMESPACE/NAME; policies may read them.
type configMaps map[string]*corev1.ConfigMap

func newConfigMaps(objects []json.RawMessage) (configMaps, error) {
	found := configMaps{}
	for _, one := range objects {
		var configMap corev1.ConfigMap
		if err := json.Unmarshal(one, &configMap); err != nil {
			// The API server would refuse it as well; a policy that needs it fails to find it.
			continue
		}
		if configMap.Namespace == "" {
			configMap.Namespace = "default"
		}
		found[configMap.Namespace+"/"+configMap.Name] = &configMap
	}
	return found, nil
}

// Get implements Kyverno's resolver of ConfigMaps.
func (c configMaps) Get(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	if configMap, found := c[namespace+"/"+name]; found {
		return configMap, nil
	}
	return nil, fmt.Errorf("the repository does not contain the ConfigMap %s/%s", namespace, name)
}

var errCluster = errors.New("it reads the cluster or another server, which only the cluster can do")

// libraryContext serves the CEL libraries of policies: ConfigMaps of the repository, and nothing else.
type libraryContext struct {
	*libs.FakeContextProvider
	configMaps configMaps
}

func newLibraryContext(found configMaps) *libraryContext {
	library := &libraryContext{libs.NewFakeContextProvider(), found}
	libs.LibraryContext = library
	return library
}

func (l *libraryContext) GetGlobalReference(string, string) (any, error) {
	return nil, errCluster
}

func (l *libraryContext) GetImageData(string, []remote.Option) (map[string]any, error) {
	return nil, errCluster
}

func (l *libraryContext) ToGVR(string, string) (*schema.GroupVersionResource, error) {
	return nil, errCluster
}

func (l *libraryContext) ListResources(string, string, string, map[string]string) (
	*unstructured.UnstructuredList, error,
) {
	return nil, errCluster
}

func (l *libraryContext) PostResource(string, string, string, map[string]any) (*unstructured.Unstructured, error) {
	return nil, errCluster
}

func (l *libraryContext) GetResource(apiVersion, resource, namespace, name string) (*unstructured.Unstructured, error) {
	if apiVersion != "v1" || resource != "configmaps" {
		return nil, errCluster
	}
	configMap, err := l.configMaps.Get(context.Background(), namespace, name)
	if err != nil {
		return nil, err
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(configMap)
	return &unstructured.Unstructured{Object: object}, err
}

// Clone implements the context of Kyverno's libraries; this one has no state of its own.
func (l *libraryContext) Clone() libs.Context {
	return l
}
