package apiserver

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/warning"
	api "k8s.io/kubernetes/pkg/apis/core"
)

// defaultNodePorts is the API server's default of --service-node-port-range.
const defaultNodePorts = "30000-32767"

// warnings are about what a cluster with default settings refuses, and another may accept.
var warnings = map[schema.GroupKind]func(context.Context, runtime.Object){
	{Kind: "Service"}: warnOfNodePorts,
}

// warnOfNodePorts names the ports outside of the default range; a dry run of the API server does not look at it.
func warnOfNodePorts(ctx context.Context, object runtime.Object) {
	service, ok := object.(*api.Service)
	if !ok {
		return
	}
	allowed := utilnet.ParsePortRangeOrDie(defaultNodePorts)
	for i, port := range service.Spec.Ports {
		if port.NodePort > 0 && !allowed.Contains(int(port.NodePort)) {
			text := "the API server refuses ports outside of %s, unless --service-node-port-range is set"
			warning.AddWarning(ctx, "", fmt.Sprintf("spec.ports[%d].nodePort: "+text, i, defaultNodePorts))
		}
	}
}
