// Package xds receives what istiod says of the mesh, by incremental discovery on one stream, as ztunnel does
// (istio.io/istio, pilot/pkg/xds/delta.go and workload.go are istiod's side).
//
// After an outage the client says what it holds, and in which version. istiod then sends what has changed, and names what has gone:
// nothing that was deleted meanwhile is left behind.
package xds

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"lab/nodeproxy/observe/metrics"
)

// The two kinds of resources that ztunnel asks for (istio.io/istio, pkg/model/xds.go).
const (
	AddressType       = "type.googleapis.com/istio.workload.Address"
	AuthorizationType = "type.googleapis.com/istio.security.Authorization"
)

// Kind is a kind of resource, and who wants it. Apply is called once for each message, by one goroutine; what it returns an error
// for counts as never received.
type Kind struct {
	URL   string
	Apply func(updates map[string]*anypb.Any, removed []string) map[string]error
}

// Decoded turns a function that takes messages into one that takes them as they come.
func Decoded[T any, M interface {
	*T
	proto.Message
}](apply func(map[string]M, []string) map[string]error) func(map[string]*anypb.Any, []string) map[string]error {
	return func(updates map[string]*anypb.Any, removed []string) map[string]error {
		messages, wrong := map[string]M{}, map[string]error{}
		for name, body := range updates {
			message := M(new(T))
			if err := body.UnmarshalTo(message); err != nil {
				wrong[name] = err
				continue
			}
			messages[name] = message
		}
		for name, err := range apply(messages, removed) {
			wrong[name] = err
		}
		return wrong
	}
}

// Client keeps a stream of discovery open.
type Client struct {
	Dial    func() (*grpc.ClientConn, error)
	Node    *core.Node
	Kinds   []Kind
	Log     *slog.Logger
	Metrics *metrics.Metrics
	// Synced is told when the first message of a kind has been taken in.
	Synced func(url string)

	// The time between two tries grows from First to Last; ztunnel's are 10 ms and 15 s.
	First, Last time.Duration

	held map[string]map[string]string // by kind: name and version of each resource
}

// Run receives, again and again, until the context ends. While istiod is away everything stays as it was.
func (c *Client) Run(ctx context.Context) {
	c.held = map[string]map[string]string{}
	for _, kind := range c.Kinds {
		c.held[kind.URL] = map[string]string{}
	}
	pause := c.First
	for ctx.Err() == nil {
		heard, err := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = c.First
		}
		c.Metrics.XDSTerminations.WithLabelValues(reason(err)).Inc()
		c.Log.Warn("discovery is interrupted; what is known stays in force", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, c.Last)
	}
}

// reason is ztunnel's label for how a stream ended.
func reason(err error) string {
	switch grpcCode(err) {
	case codes.Unavailable:
		return "Disconnect"
	case codes.OK:
		return "Complete"
	case codes.Unauthenticated, codes.PermissionDenied:
		return "Unauthenticated"
	default:
		return "Error"
	}
}

// once serves one stream until it ends, and says whether anything came.
func (c *Client) once(ctx context.Context) (heard bool, err error) {
	conn, err := c.Dial()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return false, err
	}
	for _, kind := range c.Kinds {
		// Without names to subscribe to it asks for everything.
		request := &discovery.DeltaDiscoveryRequest{Node: c.Node, TypeUrl: kind.URL, InitialResourceVersions: c.held[kind.URL]}
		if err := stream.Send(request); err != nil {
			return false, ended(stream, err)
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return heard, err
		}
		heard = true
		if err := stream.Send(c.take(response)); err != nil {
			return heard, ended(stream, err)
		}
	}
}

// ended asks a stream that could not be sent on why it ended: Send itself says only that it has.
func ended(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, err error) error {
	for err != nil {
		if _, cause := stream.Recv(); cause != nil {
			return cause
		}
	}
	return nil
}

// take takes in one message, and returns what to answer.
func (c *Client) take(response *discovery.DeltaDiscoveryResponse) *discovery.DeltaDiscoveryRequest {
	url := response.GetTypeUrl()
	answer := &discovery.DeltaDiscoveryRequest{TypeUrl: url, ResponseNonce: response.GetNonce()}
	at := slices.IndexFunc(c.Kinds, func(k Kind) bool { return k.URL == url })
	if at < 0 {
		c.Log.Warn("istiod sent what was not asked for", "url", url)
		answer.ErrorDetail = refusal(map[string]error{url: fmt.Errorf("not asked for")})
		return answer
	}
	c.Metrics.XDSMessages.WithLabelValues(url).Inc()
	c.Metrics.XDSBytes.WithLabelValues(url).Add(float64(proto.Size(response)))
	updates := make(map[string]*anypb.Any, len(response.GetResources()))
	for _, resource := range response.GetResources() {
		updates[resource.GetName()] = resource.GetResource()
	}
	wrong := c.Kinds[at].Apply(updates, response.GetRemovedResources())
	held := c.held[url]
	for _, name := range response.GetRemovedResources() {
		delete(held, name)
	}
	for _, resource := range response.GetResources() {
		if wrong[resource.GetName()] == nil {
			held[resource.GetName()] = resource.GetVersion()
		}
	}
	if len(wrong) > 0 {
		answer.ErrorDetail = refusal(wrong)
		c.Log.Error("istiod sent what cannot be understood; what was there stays", "url", url, "error", answer.ErrorDetail.GetMessage())
	}
	if c.Synced != nil {
		c.Synced(url)
	}
	return answer
}

// refusal says what is wrong, the same each time, and not without end.
func refusal(wrong map[string]error) *status.Status {
	var lines []string
	for name, err := range wrong {
		lines = append(lines, name+": "+err.Error())
	}
	slices.Sort(lines)
	text := strings.Join(lines[:min(len(lines), 10)], "; ")
	return &status.Status{Code: int32(codes.InvalidArgument), Message: fmt.Sprintf("%.2000s", text)}
}
