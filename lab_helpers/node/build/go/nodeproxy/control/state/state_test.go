package state_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/policy"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
)

func at(ip string) state.Address { return state.Address{IP: netip.MustParseAddr(ip)} }

func store(t *testing.T, objects ...proto.Message) *state.Store {
	t.Helper()
	s := state.New()
	statetest.Apply(t, s, objects...)
	return s
}

func TestDefaults(t *testing.T) {
	s := store(t, statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.1]}`))
	w := s.At(at("10.0.0.1"))
	if w == nil || w.ID.String() != "spiffe://cluster.local/ns/ns/sa/default" || w.Cluster != "Kubernetes" || w.Capacity != 1 || !w.Healthy() || w.HBONE() {
		t.Errorf("%+v", w)
	}
	if s.At(state.Address{Network: "other", IP: w.IPs[0]}) != nil {
		t.Error("the address is found in another network")
	}
}

func TestWhoHasASharedAddress(t *testing.T) {
	entry := statetest.Workload(t, `{"uid":"Kubernetes/networking.istio.io/ServiceEntry/ns/a","name":"a","namespace":"ns","addresses":[@10.0.0.1],"tunnelProtocol":"HBONE"}`)
	plain := statetest.Workload(t, `{"name":"plain","namespace":"ns","addresses":[@10.0.0.1]}`)
	tunnel := statetest.Workload(t, `{"name":"tunnel","namespace":"ns","addresses":[@10.0.0.1],"tunnelProtocol":"HBONE"}`)
	host := statetest.Workload(t, `{"name":"a-host","namespace":"ns","addresses":[@10.0.0.1],"tunnelProtocol":"HBONE","networkMode":"HOST_NETWORK"}`)
	s := store(t, entry)
	for _, step := range []struct {
		add  *workloadapi.Workload
		want string
	}{{host, "a"}, {plain, "plain"}, {tunnel, "tunnel"}} {
		statetest.Apply(t, s, step.add)
		if got := s.At(at("10.0.0.1")); got.GetName() != step.want {
			t.Errorf("after %s it is %s, want %s", step.add.Name, got.GetName(), step.want)
		}
	}
	s.ApplyAddresses(nil, []string{tunnel.Uid, plain.Uid})
	if got := s.At(at("10.0.0.1")); got.GetName() != "a" {
		t.Errorf("it is %s", got.GetName())
	}
}

func TestAChangedWorkloadLeavesNothingBehind(t *testing.T) {
	s := store(t, statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.1],"services":{"ns/svc":{}}}`))
	statetest.Apply(t, s, statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.2]}`))
	if s.At(at("10.0.0.1")) != nil || s.At(at("10.0.0.2")) == nil || len(s.Endpoints("ns/svc")) != 0 {
		t.Error("the old address or the old service is still there")
	}
}

func TestEndpointsMayComeBeforeTheirService(t *testing.T) {
	s := store(t, statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.1],
		"services":{"ns/svc.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]}}}`))
	statetest.Apply(t, s, statetest.Service(t, `{"name":"svc","namespace":"ns","addresses":[{"address":@10.1.0.1}],
		"ports":[{"servicePort":80},{"servicePort":90,"targetPort":9090}]}`))
	service := s.ServiceAt(at("10.1.0.1"), "ns")
	endpoints := s.Endpoints(service.Key())
	if len(endpoints) != 1 {
		t.Fatalf("%d endpoints", len(endpoints))
	}
	for port, want := range map[uint16]uint16{80: 8080, 90: 9090, 100: 0} {
		if got, has := endpoints[0].Target(service, port); got != want || has != (want != 0) {
			t.Errorf("port %d goes to %d, %v", port, got, has)
		}
	}
	s.ApplyAddresses(nil, []string{service.Key()})
	if s.ServiceAt(at("10.1.0.1"), "ns") != nil || len(s.Endpoints(service.Key())) != 1 {
		t.Error("the service is still there, or its endpoint is not")
	}
}

func TestWhichServiceAnswers(t *testing.T) {
	text := func(namespace, more string) *workloadapi.Service {
		return statetest.Service(t, `{"name":"x","namespace":"`+namespace+`","hostname":"x.example",`+more+`}`)
	}
	s := store(t,
		text("a", `"addresses":[{"address":@10.1.0.1}]`),
		text("b", `"addresses":[{"address":@10.1.0.1}],"canonical":true`),
		text("c", `"addresses":[{"address":@10.1.0.1}],"visibility":"NAMESPACE"`),
		text("d", `"addresses":[{"address":@10.2.0.0,"length":16},{"address":@10.3.0.1,"length":32}]`),
		text("e", `"addresses":[{"address":@10.2.1.0,"length":24}],"visibility":"NAMESPACE"`),
	)
	for _, test := range []struct{ ip, client, want string }{
		{"10.1.0.1", "a", "a"}, {"10.1.0.1", "b", "b"}, {"10.1.0.1", "c", "c"}, {"10.1.0.1", "z", "b"},
		{"10.2.1.1", "e", "e"}, {"10.2.1.1", "z", "d"}, {"10.2.2.1", "e", "d"}, {"10.3.0.1", "z", "d"}, {"10.4.0.1", "z", ""},
	} {
		if got := s.ServiceAt(at(test.ip), test.client); (got == nil) != (test.want == "") || got != nil && got.GetNamespace() != test.want {
			t.Errorf("%s from %s: %v, want %s", test.ip, test.client, got, test.want)
		}
	}
	if got := s.ServiceNamed("X.example", "z"); got.GetNamespace() != "b" {
		t.Errorf("by name: %v", got)
	}
}

func TestAwaitPod(t *testing.T) {
	s := state.New()
	found := make(chan *state.Workload, 1)
	go func() {
		w, _ := s.AwaitPod(t.Context(), "node", "ns", "a", "sa")
		found <- w
	}()
	statetest.Apply(t, s,
		statetest.Workload(t, `{"uid":"1","name":"a","namespace":"ns","serviceAccount":"sa","node":"elsewhere"}`),
		statetest.Workload(t, `{"uid":"2","name":"a","namespace":"ns","serviceAccount":"other","node":"node"}`))
	statetest.Apply(t, s, statetest.Workload(t, `{"uid":"3","name":"a","namespace":"ns","serviceAccount":"sa","node":"node"}`))
	select {
	case w := <-found:
		if w.GetUid() != "3" {
			t.Errorf("found %s", w.GetUid())
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not found within 5 s")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.AwaitPod(ctx, "node", "ns", "b", "sa"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}

func TestAuthorize(t *testing.T) {
	deny := func(name, namespace, scope string) *security.Authorization {
		return statetest.Policy(t, `{"name":"`+name+`","namespace":"`+namespace+`","scope":"`+scope+`","action":"DENY","groups":[{}]}`)
	}
	for name, test := range map[string]struct {
		policy *security.Authorization
		denied bool
	}{
		"of the mesh":                    {deny("p", "istio-system", "GLOBAL"), true},
		"of its namespace":               {deny("p", "ns", "NAMESPACE"), true},
		"of another namespace":           {deny("p", "other", "NAMESPACE"), false},
		"that it names":                  {deny("named", "ns", "WORKLOAD_SELECTOR"), true},
		"that it does not name":          {deny("p", "ns", "WORKLOAD_SELECTOR"), false},
		"of another namespace and named": {deny("root", "istio-system", "WORKLOAD_SELECTOR"), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.1],
				"authorizationPolicies":["ns/named","istio-system/root"]}`), test.policy)
			id := &identity.Identity{TrustDomain: "td", Namespace: "ns", ServiceAccount: "sa"}
			verdict, unknown := s.Authorize(s.At(at("10.0.0.1")), policy.Request{Identity: id})
			if verdict.Allowed == test.denied {
				t.Errorf("%+v", verdict)
			}
			if len(unknown) == 0 {
				t.Error("a name that is not known is not told of")
			}
			s.ApplyPolicies(nil, []string{test.policy.Namespace + "/" + test.policy.Name})
			if verdict, _ := s.Authorize(s.At(at("10.0.0.1")), policy.Request{}); !verdict.Allowed {
				t.Errorf("after its removal: %+v", verdict)
			}
		})
	}
}

func TestWhatCannotBeUnderstoodLeavesWhatWasThere(t *testing.T) {
	good := statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.1]}`)
	s := store(t, good)
	for _, bad := range []*workloadapi.Address{
		{}, {Type: &workloadapi.Address_Workload{Workload: &workloadapi.Workload{}}},
		{Type: &workloadapi.Address_Workload{Workload: &workloadapi.Workload{Uid: good.Uid, Addresses: [][]byte{{1, 2, 3}}}}},
		{Type: &workloadapi.Address_Service{Service: &workloadapi.Service{Hostname: "h", Ports: []*workloadapi.Port{{ServicePort: 70000}}}}},
		{Type: &workloadapi.Address_Service{Service: &workloadapi.Service{Hostname: "h", Addresses: []*workloadapi.NetworkAddress{{Address: []byte{1, 2, 3, 4}, Length: proto.Uint32(33)}}}}},
	} {
		if wrong := s.ApplyAddresses(map[string]*workloadapi.Address{good.Uid: bad}, nil); wrong[good.Uid] == nil {
			t.Errorf("taken: %v", bad)
		}
	}
	wrong := s.ApplyPolicies(map[string]*security.Authorization{"ns/p": {Name: "p", Namespace: "ns", Action: 9}}, nil)
	if wrong["ns/p"] == nil || !strings.Contains(wrong["ns/p"].Error(), "unknown action") {
		t.Errorf("%v", wrong)
	}
	if s.At(at("10.0.0.1")) == nil {
		t.Error("what was there is gone")
	}
}

func FuzzAddress(f *testing.F) {
	data, err := proto.Marshal(&workloadapi.Address{Type: &workloadapi.Address_Workload{Workload: &workloadapi.Workload{Uid: "u", Addresses: [][]byte{{10, 0, 0, 1}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		address := &workloadapi.Address{}
		if proto.Unmarshal(data, address) != nil {
			return
		}
		s := state.New()
		wrong := s.ApplyAddresses(map[string]*workloadapi.Address{"n": address}, nil)
		workloads, services, _ := s.All()
		if len(wrong)+len(workloads)+len(services) != 1 {
			t.Errorf("neither refused nor taken: %v", address)
		}
		for _, w := range workloads {
			s.ApplyAddresses(nil, []string{w.GetUid()})
		}
		for _, service := range services {
			s.ApplyAddresses(nil, []string{service.Key()})
		}
		if workloads, services, _ := s.All(); len(workloads)+len(services) != 0 {
			t.Errorf("not to be removed: %v", address)
		}
	})
}
