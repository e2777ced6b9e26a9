package xds

import (
	"errors"
	"io"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"lab/nodeproxy/config"
)

// Node says who asks, in the form that istiod reads a ztunnel's name in (istio.io/istio, pilot/pkg/model/context.go, ParseServiceNodeWithMetadata),
// and for which version of Istio it was built, which istioctl proxy-status shows.
func Node(c config.Config, version string) *core.Node {
	text := structpb.NewStringValue
	fields := map[string]*structpb.Value{
		"NAME": text(c.PodName), "NAMESPACE": text(c.PodNamespace), "INSTANCE_IPS": text(c.InstanceIP), "NODE_NAME": text(c.NodeName),
		"SERVICE_ACCOUNT": text(c.ServiceAccount), "ISTIO_VERSION": text(version),
	}
	for name, value := range c.Metadata {
		fields[name] = text(value)
	}
	return &core.Node{
		Id:       "ztunnel~" + c.InstanceIP + "~" + c.PodName + "." + c.PodNamespace + "~" + c.PodNamespace + ".svc." + c.ClusterDomain,
		Metadata: &structpb.Struct{Fields: fields},
	}
}

func grpcCode(err error) codes.Code {
	if errors.Is(err, io.EOF) {
		return codes.OK
	}
	return status.Code(err)
}
