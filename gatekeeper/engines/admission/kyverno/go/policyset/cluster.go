package policyset

import (
	"context"
	"io"

	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// repositoryClient is the client of a cluster that has the namespaces of the repository, and nothing else.
type repositoryClient struct {
	namespace func(name string) (*corev1.Namespace, bool)
}

// GetNamespace returns a namespace; one that the repository does not contain has its name as its only label.
func (c repositoryClient) GetNamespace(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	found, _ := c.namespace(name)
	return found, nil
}

// RawAbsPath implements Kyverno's client.
func (c repositoryClient) RawAbsPath(context.Context, string, string, io.Reader) ([]byte, error) {
	return nil, errCluster
}

// CanI implements Kyverno's client.
func (c repositoryClient) CanI(context.Context, string, string, string, string, string) (bool, string, error) {
	return false, "", errCluster
}

// GetResource implements Kyverno's client.
func (c repositoryClient) GetResource(
	context.Context, string, string, string, string, ...string,
) (*unstructured.Unstructured, error) {
	return nil, errCluster
}

// ListResource implements Kyverno's client.
func (c repositoryClient) ListResource(
	context.Context, string, string, string, *metav1.LabelSelector,
) (*unstructured.UnstructuredList, error) {
	return nil, errCluster
}

// GetResources implements Kyverno's client.
func (c repositoryClient) GetResources(
	context.Context, string, string, string, string, string, string, *metav1.LabelSelector,
) ([]engineapi.Resource, error) {
	return nil, errCluster
}

// IsNamespaced implements Kyverno's client.
func (c repositoryClient) IsNamespaced(string, string, string) (bool, error) {
	return false, errCluster
}
