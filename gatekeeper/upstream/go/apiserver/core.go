package apiserver

import (
	"context"
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/registry/rest"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	api "k8s.io/kubernetes/pkg/apis/core"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
	configmapstore "k8s.io/kubernetes/pkg/registry/core/configmap/storage"
	endpointsstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	eventstore "k8s.io/kubernetes/pkg/registry/core/event/storage"
	limitrangestore "k8s.io/kubernetes/pkg/registry/core/limitrange/storage"
	nodestore "k8s.io/kubernetes/pkg/registry/core/node/storage"
	pvstore "k8s.io/kubernetes/pkg/registry/core/persistentvolume/storage"
	pvcstore "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	podtemplatestore "k8s.io/kubernetes/pkg/registry/core/podtemplate/storage"
	controllerstore "k8s.io/kubernetes/pkg/registry/core/replicationcontroller/storage"
	resourcequotastore "k8s.io/kubernetes/pkg/registry/core/resourcequota/storage"
	secretstore "k8s.io/kubernetes/pkg/registry/core/secret/storage"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"
	serviceaccountstore "k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage"
)

// buildCoreStorage builds the storages of the core group, as pkg/registry/core/rest does.
func buildCoreStorage() (map[string]rest.Storage, error) {
	storages := map[string]rest.Storage{}
	var failure error
	add := func(name string) func(rest.Storage, error) {
		return func(one rest.Storage, err error) {
			if err != nil {
				failure = err
			}
			storages[name] = one
		}
	}
	add("configmaps")(configmapstore.NewREST(noOptions{}))
	add("endpoints")(endpointsstore.NewREST(noOptions{}))
	add("events")(eventstore.NewREST(noOptions{}, 0))
	add("limitranges")(limitrangestore.NewREST(noOptions{}))
	add("podtemplates")(podtemplatestore.NewREST(noOptions{}))
	add("secrets")(secretstore.NewREST(noOptions{}))
	add("serviceaccounts")(serviceaccountstore.NewREST(noOptions{}, nil, nil, 0, nil, nil, nil, false, 0))
	volumes, _, err := pvstore.NewREST(noOptions{})
	add("persistentvolumes")(volumes, err)
	claims, _, err := pvcstore.NewREST(noOptions{})
	add("persistentvolumeclaims")(claims, err)
	quotas, _, err := resourcequotastore.NewREST(noOptions{})
	add("resourcequotas")(quotas, err)
	controllers, _, err := controllerstore.NewREST(noOptions{})
	add("replicationcontrollers")(controllers, err)
	nodes, err := nodestore.NewStorage(noOptions{}, kubeletclient.KubeletClientConfig{}, nil)
	if err != nil {
		return nil, err
	}
	storages["nodes"] = nodes.Node
	pods, err := podstore.NewStorage(noOptions{}, nodes.KubeletConnectionInfo, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	storages["pods"] = pods.Pod
	services, err := buildServiceStorage()
	add("services")(services, err)
	return storages, failure
}

// buildServiceStorage builds the storage of Services as in a dual-stack cluster, whose address ranges are not known:
// any cluster IP is free.
func buildServiceStorage() (*servicestore.REST, error) {
	ports, err := portallocator.NewInMemory(*utilnet.ParsePortRangeOrDie(defaultNodePorts))
	if err != nil {
		return nil, err
	}
	addresses := map[api.IPFamily]ipallocator.Interface{
		api.IPv4Protocol: anyAddress{family: api.IPv4Protocol, first: net.IPv4(10, 0, 0, 10)},
		api.IPv6Protocol: anyAddress{family: api.IPv6Protocol, first: net.ParseIP("fd00::10")},
	}
	services, _, _, err := servicestore.NewREST(noOptions{}, api.IPv4Protocol, addresses, ports, nil, nil, nil)
	return services, err
}

// anyAddress allocates every requested address, and stores none.
type anyAddress struct {
	family api.IPFamily
	first  net.IP
}

func (anyAddress) Allocate(net.IP) error           { return nil }
func (a anyAddress) AllocateNext() (net.IP, error) { return a.first, nil }
func (anyAddress) Release(net.IP) error            { return nil }
func (anyAddress) ForEach(func(net.IP))            {}
func (anyAddress) CIDR() net.IPNet                 { return net.IPNet{} }
func (a anyAddress) IPFamily() api.IPFamily        { return a.family }
func (anyAddress) Has(net.IP) bool                 { return false }
func (anyAddress) Destroy()                        {}
func (anyAddress) EnableMetrics()                  {}

func (a anyAddress) DryRun() ipallocator.Interface { return a }

// adminNamespaces answers that every namespace allows administrative access to devices: a label of the namespace
// in the cluster decides that, and it is not known here.
type adminNamespaces struct {
	typedcorev1.NamespaceInterface
}

func (adminNamespaces) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	labels := map[string]string{"resource.kubernetes.io/admin-access": "true", "resource.k8s.io/admin-access": "true"}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, nil
}
