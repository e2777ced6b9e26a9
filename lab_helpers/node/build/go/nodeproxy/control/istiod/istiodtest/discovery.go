package istiodtest

import (
	"strconv"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"istio.io/istio/pkg/workloadapi/security"
)

// discoveries is the part of an Istiod that is about discovery.
type discoveries struct {
	resources map[string]map[string]*discovery.Resource
	streams   []chan *discovery.DeltaDiscoveryResponse
	counter   int
	requests  chan *discovery.DeltaDiscoveryRequest
}

// Watch returns a channel of everything that the proxy sends from now on.
func (i *Istiod) Watch() <-chan *discovery.DeltaDiscoveryRequest {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = make(chan *discovery.DeltaDiscoveryRequest, 1000)
	return i.requests
}

// Set changes or adds a resource and tells the proxy of it.
func (i *Istiod) Set(url, name string, message proto.Message) {
	i.t.Helper()
	body, err := anypb.New(message)
	if err != nil {
		i.t.Fatal(err)
	}
	i.SetRaw(url, name, body)
}

// SetRaw does so with whatever body.
func (i *Istiod) SetRaw(url, name string, body *anypb.Any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.counter++
	resource := &discovery.Resource{Name: name, Version: strconv.Itoa(i.counter), Resource: body}
	if body.MessageIs(&security.Authorization{}) {
		resource.Version = "" // istiod gives policies none
	}
	if i.resources[url] == nil {
		i.resources[url] = map[string]*discovery.Resource{}
	}
	i.resources[url][name] = resource
	i.push(&discovery.DeltaDiscoveryResponse{TypeUrl: url, Resources: []*discovery.Resource{resource}})
}

// Delete removes a resource and tells the proxy of it.
func (i *Istiod) Delete(url, name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.resources[url], name)
	i.push(&discovery.DeltaDiscoveryResponse{TypeUrl: url, RemovedResources: []string{name}})
}

func (i *Istiod) push(response *discovery.DeltaDiscoveryResponse) {
	for _, stream := range i.streams {
		stream <- response
	}
}

// DeltaAggregatedResources answers as istiod does: to the first request for a kind it sends what the proxy does not hold in the same
// version, and names what the proxy holds and istiod does not.
func (i *Istiod) DeltaAggregatedResources(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	if err := allowed(stream.Context()); err != nil {
		return err
	}
	pushes := make(chan *discovery.DeltaDiscoveryResponse, 1000)
	failed := make(chan error, 1)
	go func() {
		asked := map[string]bool{}
		for {
			request, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			i.mu.Lock()
			if i.requests != nil {
				i.requests <- request
			}
			if !asked[request.GetTypeUrl()] {
				asked[request.GetTypeUrl()] = true
				pushes <- i.initial(request)
				if len(asked) == 2 {
					i.streams = append(i.streams, pushes)
				}
			}
			i.mu.Unlock()
		}
	}()
	for {
		select {
		case err := <-failed:
			i.mu.Lock()
			defer i.mu.Unlock()
			for at, each := range i.streams {
				if each == pushes {
					i.streams = append(i.streams[:at], i.streams[at+1:]...)
					break
				}
			}
			return err
		case response := <-pushes:
			sent := proto.CloneOf(response)
			sent.Nonce = strconv.FormatInt(time.Now().UnixNano(), 36)
			if err := stream.Send(sent); err != nil {
				return err
			}
		}
	}
}

func (i *Istiod) initial(request *discovery.DeltaDiscoveryRequest) *discovery.DeltaDiscoveryResponse {
	response := &discovery.DeltaDiscoveryResponse{TypeUrl: request.GetTypeUrl()}
	holds := request.GetInitialResourceVersions()
	for name, resource := range i.resources[request.GetTypeUrl()] {
		if version, held := holds[name]; !held || version == "" || version != resource.GetVersion() {
			response.Resources = append(response.Resources, resource)
		}
	}
	for name := range holds {
		if i.resources[request.GetTypeUrl()][name] == nil {
			response.RemovedResources = append(response.RemovedResources, name)
		}
	}
	return response
}
