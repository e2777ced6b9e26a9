package xds

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/config"
	"lab/nodeproxy/control/istiod/istiodtest"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/runtest"
)

const deadline = 10 * time.Second

// until waits for the store to be as it should.
func until(t *testing.T, store *state.Store, what string, is func() bool) {
	t.Helper()
	late := time.After(deadline)
	for {
		changed := store.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("after %v still not: %s", deadline, what)
		}
	}
}

// next waits for a request that fits.
func next(t *testing.T, requests <-chan *discovery.DeltaDiscoveryRequest, what string, fits func(*discovery.DeltaDiscoveryRequest) bool) *discovery.DeltaDiscoveryRequest {
	t.Helper()
	late := time.After(deadline)
	for {
		select {
		case request := <-requests:
			if fits(request) {
				return request
			}
		case <-late:
			t.Fatalf("after %v still no request: %s", deadline, what)
		}
	}
}

func start(t *testing.T, server *istiodtest.Istiod) (*state.Store, chan string) {
	t.Helper()
	store, synced := state.New(), make(chan string, 100)
	client := &Client{
		Dial: server.Endpoint.Dial,
		Node: Node(config.Config{PodName: "ztunnel-x", PodNamespace: "istio-system", InstanceIP: "10.0.0.9", ClusterDomain: "cluster.local", NodeName: "n"}, "1.31.0"),
		Kinds: []Kind{
			{AddressType, Decoded[workloadapi.Address](store.ApplyAddresses)},
			{AuthorizationType, Decoded[security.Authorization](store.ApplyPolicies)},
		},
		Log: logging.Discard(), Metrics: metrics.New("test"), Synced: func(url string) { synced <- url },
		First: time.Millisecond, Last: 20 * time.Millisecond,
	}
	runtest.Beside(t, client.Run)
	return store, synced
}

func set(t *testing.T, server *istiodtest.Istiod, objects ...proto.Message) {
	t.Helper()
	for name, address := range statetest.Addresses(objects...) {
		server.Set(AddressType, name, address)
	}
}

func TestWhatIstiodSaysIsTakenIn(t *testing.T) {
	server := istiodtest.Start(t)
	requests := server.Watch()
	set(t, server, statetest.Workload(t, `{"uid":"a","name":"a","namespace":"ns","addresses":[@10.0.0.1]}`))
	store, synced := start(t, server)
	first := next(t, requests, "the first", func(*discovery.DeltaDiscoveryRequest) bool { return true })
	if got := first.GetNode().GetId(); got != "ztunnel~10.0.0.9~ztunnel-x.istio-system~istio-system.svc.cluster.local" {
		t.Errorf("the node is %s", got)
	}
	said := first.GetNode().GetMetadata().GetFields()
	if said["NAMESPACE"].GetStringValue() != "istio-system" || said["ISTIO_VERSION"].GetStringValue() != "1.31.0" ||
		len(first.GetResourceNamesSubscribe()) != 0 {
		t.Errorf("the first request is %v", first)
	}
	until(t, store, "a workload", func() bool { return store.Workload("a") != nil })
	server.Set(AuthorizationType, "ns/p", &security.Authorization{Name: "p", Namespace: "ns"})
	until(t, store, "a policy", func() bool { _, _, policies := store.All(); return len(policies) == 1 })
	set(t, server, statetest.Service(t, `{"name":"s","namespace":"ns"}`))
	until(t, store, "a service", func() bool { return store.Service("ns/s.ns.svc.cluster.local") != nil })
	server.Delete(AddressType, "a")
	server.Delete(AuthorizationType, "ns/p")
	until(t, store, "nothing but a service", func() bool {
		workloads, services, policies := store.All()
		return len(workloads) == 0 && len(services) == 1 && len(policies) == 0
	})
	ack := next(t, requests, "an acknowledgement", func(r *discovery.DeltaDiscoveryRequest) bool { return r.GetResponseNonce() != "" })
	if ack.GetErrorDetail() != nil || ack.GetTypeUrl() == "" || ack.GetNode() != nil {
		t.Errorf("the acknowledgement is %v", ack)
	}
	kinds := map[string]bool{}
	for range 2 {
		kinds[<-synced] = true
	}
	if !kinds[AddressType] {
		t.Errorf("told of %v", kinds)
	}
}

func TestNothingThatWasDeletedMeanwhileIsLeft(t *testing.T) {
	server := istiodtest.Start(t)
	stays := statetest.Workload(t, `{"uid":"stays","name":"a","namespace":"ns","addresses":[@10.0.0.1]}`)
	set(t, server, stays, statetest.Workload(t, `{"uid":"goes","name":"b","namespace":"ns","addresses":[@10.0.0.2]}`))
	server.Set(AuthorizationType, "ns/goes", &security.Authorization{Name: "goes", Namespace: "ns"})
	store, _ := start(t, server)
	until(t, store, "both kinds", func() bool {
		_, _, policies := store.All()
		return store.Workload("goes") != nil && store.Workload("stays") != nil && len(policies) == 1
	})
	before := store.Workload("stays")
	server.Stop()
	if store.Workload("goes") == nil {
		t.Error("what is known did not stay in force without istiod")
	}
	server.Delete(AddressType, "goes")
	server.Delete(AuthorizationType, "ns/goes")
	set(t, server, statetest.Workload(t, `{"uid":"comes","name":"c","namespace":"ns","addresses":[@10.0.0.3]}`))
	requests := server.Watch()
	server.Restart()
	again := next(t, requests, "what is held", func(r *discovery.DeltaDiscoveryRequest) bool { return r.GetTypeUrl() == AddressType })
	if held := again.GetInitialResourceVersions(); len(held) != 2 || held["stays"] == "" || held["goes"] == "" {
		t.Errorf("said to be held: %v", held)
	}
	until(t, store, "what was deleted gone", func() bool {
		_, _, policies := store.All()
		return store.Workload("goes") == nil && store.Workload("comes") != nil && len(policies) == 0
	})
	if store.Workload("stays") != before {
		t.Error("what had not changed was sent again")
	}
}

func TestWhatCannotBeUnderstoodIsRefusedAndNotHeld(t *testing.T) {
	server := istiodtest.Start(t)
	requests := server.Watch()
	server.SetRaw(AddressType, "garbage", &anypb.Any{TypeUrl: AddressType, Value: []byte{0xff, 0xff}})
	server.SetRaw(AddressType, "foreign", &anypb.Any{TypeUrl: "type.googleapis.com/a.B", Value: nil})
	set(t, server, &workloadapi.Workload{Uid: "bad", Addresses: [][]byte{{1}}}, &workloadapi.Workload{Uid: "good"})
	store, _ := start(t, server)
	until(t, store, "what is good", func() bool { return store.Workload("good") != nil })
	nack := next(t, requests, "a refusal", func(r *discovery.DeltaDiscoveryRequest) bool { return r.GetErrorDetail() != nil })
	if nack.GetResponseNonce() == "" || nack.GetErrorDetail().GetMessage() == "" {
		t.Errorf("the refusal is %v", nack)
	}
	server.Stop()
	again := server.Watch()
	server.Restart()
	request := next(t, again, "what is held", func(r *discovery.DeltaDiscoveryRequest) bool { return r.GetTypeUrl() == AddressType })
	if held := request.GetInitialResourceVersions(); len(held) != 1 || held["good"] == "" {
		t.Errorf("said to be held: %v", held)
	}
}

func TestWithoutATokenNothingIsHeardUntilThereIsOne(t *testing.T) {
	server := istiodtest.Start(t)
	set(t, server, &workloadapi.Workload{Uid: "a"})
	if err := os.WriteFile(server.Endpoint.Token, []byte("expired"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, _ := start(t, server)
	if err := os.WriteFile(server.Endpoint.Token, []byte(istiodtest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, store, "a workload", func() bool { return store.Workload("a") != nil })
}

func TestAWrongRootIsNotTrusted(t *testing.T) {
	server, other := istiodtest.Start(t), istiodtest.Start(t)
	server.Endpoint.RootCert = other.Endpoint.RootCert
	client := &Client{Dial: server.Endpoint.Dial, Log: logging.Discard(), Metrics: metrics.New("test"), Kinds: []Kind{{URL: AddressType}}}
	if _, err := client.once(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("the error is %v", err)
	}
	server.Endpoint.RootCert = server.Endpoint.Token
	if _, err := server.Endpoint.Dial(); err == nil {
		t.Error("a file without certificates was taken")
	}
}

func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"Complete": io.EOF, "Disconnect": status.Error(codes.Unavailable, ""), "Unauthenticated": status.Error(codes.Unauthenticated, ""),
		"Error": errors.New("x"),
	} {
		if got := reason(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}

func FuzzTake(f *testing.F) {
	body, err := anypb.New(&workloadapi.Address{Type: &workloadapi.Address_Workload{Workload: &workloadapi.Workload{Uid: "u"}}})
	if err != nil {
		f.Fatal(err)
	}
	data, err := proto.Marshal(&discovery.DeltaDiscoveryResponse{TypeUrl: AddressType, Resources: []*discovery.Resource{{Name: "u", Version: "1", Resource: body}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		response := &discovery.DeltaDiscoveryResponse{}
		if proto.Unmarshal(data, response) != nil {
			return
		}
		store := state.New()
		client := &Client{
			Log: logging.Discard(), Metrics: metrics.New("test"), held: map[string]map[string]string{AddressType: {}, AuthorizationType: {}},
			Kinds: []Kind{
				{AddressType, Decoded[workloadapi.Address](store.ApplyAddresses)},
				{AuthorizationType, Decoded[security.Authorization](store.ApplyPolicies)},
			},
		}
		if answer := client.take(response); answer.GetResponseNonce() != response.GetNonce() {
			t.Errorf("the answer to %v is %v", response, answer)
		}
	})
}
