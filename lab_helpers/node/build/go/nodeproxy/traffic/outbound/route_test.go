package outbound

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
)

// mesh is a store with a client, a server in two pods, a plain one, and waypoints.
func mesh(t *testing.T, more ...proto.Message) *state.Store {
	t.Helper()
	w := func(text string) proto.Message { return statetest.Workload(t, text) }
	s := func(text string) proto.Message { return statetest.Service(t, text) }
	store := state.New()
	statetest.Apply(t, store, append([]proto.Message{
		w(`{"name":"sleep","namespace":"ns","serviceAccount":"sleep","addresses":[@10.0.0.1],"tunnelProtocol":"HBONE","node":"n1","locality":{"region":"r1","zone":"z1"}}`),
		w(`{"name":"a","namespace":"ns","serviceAccount":"httpbin","addresses":[@10.0.0.2],"tunnelProtocol":"HBONE","node":"n1","locality":{"region":"r1","zone":"z1"},
			"services":{"ns/httpbin.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]},"ns/named.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":9999}]}}}`),
		w(`{"name":"b","namespace":"ns","serviceAccount":"httpbin","addresses":[@10.0.0.3],"tunnelProtocol":"HBONE","node":"n2","status":"UNHEALTHY",
			"services":{"ns/httpbin.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]}}}`),
		w(`{"name":"plain","namespace":"ns","addresses":[@10.0.0.4],"node":"n1"}`),
		w(`{"name":"guarded","namespace":"ns","addresses":[@10.0.0.5],"tunnelProtocol":"HBONE","waypoint":{"hostname":{"namespace":"ns","hostname":"wp.ns.svc.cluster.local"},"hboneMtlsPort":15008}}`),
		w(`{"name":"wp","namespace":"ns","serviceAccount":"wp","addresses":[@10.0.0.9],"tunnelProtocol":"HBONE","services":{"ns/wp.ns.svc.cluster.local":{"ports":[{"servicePort":15008,"targetPort":15008}]}}}`),
		w(`{"name":"far","namespace":"ns","addresses":[@10.0.0.7],"network":"other","tunnelProtocol":"HBONE","services":{"ns/far.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":80}]}}}`),
		w(`{"uid":"entry","name":"entry","namespace":"ns","hostname":"db.example","services":{"ns/db.example":{"ports":[{"servicePort":5432,"targetPort":5433}]}}}`),
		s(`{"name":"httpbin","namespace":"ns","addresses":[{"address":@10.1.0.1}],"ports":[{"servicePort":80,"targetPort":8080},{"servicePort":81}],"subjectAltNames":["spiffe://x/ns/y/sa/z"]}`),
		s(`{"name":"named","namespace":"ns","addresses":[{"address":@10.1.0.2}],"ports":[{"servicePort":80}]}`),
		s(`{"name":"wp","namespace":"ns","addresses":[{"address":@10.1.0.9}],"ports":[{"servicePort":15008,"targetPort":15008}]}`),
		s(`{"name":"l7","namespace":"ns","addresses":[{"address":@10.1.0.3}],"ports":[{"servicePort":80,"targetPort":8080}],"waypoint":{"hostname":{"namespace":"ns","hostname":"wp.ns.svc.cluster.local"},"hboneMtlsPort":15008}}`),
		s(`{"name":"byip","namespace":"ns","addresses":[{"address":@10.1.0.4}],"ports":[{"servicePort":80}],"waypoint":{"address":{"address":@10.1.0.9},"hboneMtlsPort":15008}}`),
		s(`{"name":"lost","namespace":"ns","addresses":[{"address":@10.1.0.5}],"ports":[{"servicePort":80}],"waypoint":{"hostname":{"namespace":"ns","hostname":"gone.ns.svc.cluster.local"}}}`),
		s(`{"name":"pass","namespace":"ns","addresses":[{"address":@10.1.0.6}],"ports":[{"servicePort":80}],"loadBalancing":{"mode":"PASSTHROUGH"}}`),
		s(`{"name":"empty","namespace":"ns","addresses":[{"address":@10.1.0.7}],"ports":[{"servicePort":80,"targetPort":80}]}`),
		s(`{"name":"far","namespace":"ns","addresses":[{"address":@10.1.0.8}],"ports":[{"servicePort":80,"targetPort":80}]}`),
		s(`{"name":"db","namespace":"ns","hostname":"db.example","addresses":[{"address":@240.240.0.1}],"ports":[{"servicePort":5432,"targetPort":5433}]}`),
		s(`{"name":"hidden","namespace":"secret","addresses":[{"address":@10.1.0.10}],"ports":[{"servicePort":80}],"visibility":"NAMESPACE"}`),
	}, more...)...)
	return store
}

const httpbinID = "spiffe://cluster.local/ns/ns/sa/httpbin"

func TestDecide(t *testing.T) {
	store := mesh(t)
	source := store.Workload("Kubernetes//Pod/ns/sleep")
	for name, test := range map[string]struct {
		to, target, authority, names, err string
	}{
		"a service":                         {"10.1.0.1:80", "10.0.0.2:15008", "10.0.0.2:8080", httpbinID + " spiffe://x/ns/y/sa/z", ""},
		"a port that the service has not":   {"10.1.0.1:90", "", "", "", "no healthy endpoint for port 90"},
		"a named port that nobody has":      {"10.1.0.1:81", "", "", "", "no healthy endpoint for port 81"},
		"a named port":                      {"10.1.0.2:80", "10.0.0.2:15008", "10.0.0.2:9999", httpbinID, ""},
		"a pod":                             {"10.0.0.2:1234", "10.0.0.2:15008", "10.0.0.2:1234", httpbinID, ""},
		"a pod that is not healthy":         {"10.0.0.3:80", "10.0.0.3:15008", "10.0.0.3:80", httpbinID, ""},
		"itself":                            {"10.0.0.1:80", "10.0.0.1:15008", "10.0.0.1:80", "spiffe://cluster.local/ns/ns/sa/sleep", ""},
		"a pod without tunnel":              {"10.0.0.4:80", "10.0.0.4:80", "", "", ""},
		"a service with a waypoint":         {"10.1.0.3:80", "10.0.0.9:15008", "10.1.0.3:80", "spiffe://cluster.local/ns/ns/sa/wp", ""},
		"any port of it":                    {"10.1.0.3:99", "10.0.0.9:15008", "10.1.0.3:99", "spiffe://cluster.local/ns/ns/sa/wp", ""},
		"a waypoint by its address":         {"10.1.0.4:80", "10.0.0.9:15008", "10.1.0.4:80", "spiffe://cluster.local/ns/ns/sa/wp", ""},
		"a waypoint that is not there":      {"10.1.0.5:80", "", "", "", "no service ns/gone.ns.svc.cluster.local"},
		"a pod with a waypoint":             {"10.0.0.5:80", "10.0.0.9:15008", "10.0.0.5:80", "spiffe://cluster.local/ns/ns/sa/wp", ""},
		"a service that wants no balancing": {"10.1.0.6:80", "10.1.0.6:80", "", "", ""},
		"a service without endpoints":       {"10.1.0.7:80", "", "", "", "no healthy endpoint"},
		"another network":                   {"10.1.0.8:80", "", "", "", `network "other"`},
		"what nobody knows":                 {"192.0.2.1:443", "192.0.2.1:443", "", "", ""},
		"what this namespace may not see":   {"10.1.0.10:80", "10.1.0.10:80", "", "", ""},
		"an address of the other network":   {"10.0.0.7:80", "10.0.0.7:80", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			route, err := Router{Store: store}.Decide(source, netip.MustParseAddrPort(test.to))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := route.Target.String(); got != test.target || route.Tunnel != (test.authority != "") {
				t.Errorf("goes to %s, by tunnel: %v", got, route.Tunnel)
			}
			if test.authority != "" && route.Authority.String() != test.authority {
				t.Errorf("asks for %v, want %s", route.Authority, test.authority)
			}
			if got := strings.Join(route.Names, " "); got != test.names {
				t.Errorf("the other end may be %s, want %s", got, test.names)
			}
		})
	}
}

func TestAWaypointGoesPastItself(t *testing.T) {
	store := mesh(t, statetest.Workload(t, `{"uid":"impostor","name":"impostor","namespace":"ns","serviceAccount":"wp","addresses":[@10.0.0.10]}`))
	to := netip.MustParseAddrPort("10.0.0.5:80")
	for uid, target := range map[string]string{"Kubernetes//Pod/ns/wp": "10.0.0.5:15008", "impostor": "10.0.0.9:15008"} {
		if route, err := (Router{Store: store}).Decide(store.Workload(uid), to); err != nil || route.Target.String() != target {
			t.Errorf("%s goes to %v, %v", uid, route.Target, err)
		}
	}
}

func TestAHostThatHasToBeResolved(t *testing.T) {
	store := mesh(t)
	route, err := Router{Store: store}.Decide(store.Workload("Kubernetes//Pod/ns/sleep"), netip.MustParseAddrPort("240.240.0.1:5432"))
	if err != nil || route.Hostname != "db.example" || route.Target.Port() != 5433 || route.Tunnel {
		t.Errorf("%+v, %v", route, err)
	}
}

func TestWeightedWaypoints(t *testing.T) {
	store := mesh(t,
		statetest.Workload(t, `{"name":"wp2","namespace":"ns","serviceAccount":"wp2","addresses":[@10.0.0.8],"tunnelProtocol":"HBONE"}`),
		statetest.Service(t, `{"name":"two","namespace":"ns","addresses":[{"address":@10.1.0.20}],"waypoint":{"address":{"address":@10.0.0.9}},
			"weightedWaypoints":[{"destination":{"address":{"address":@10.0.0.9}},"weight":3},{"destination":{"address":{"address":@10.0.0.8}},"weight":1}]}`))
	counts := map[string]int{}
	for n := range uint64(4) {
		router := Router{Store: store, Random: func(sum uint64) uint64 { return n % sum }}
		route, err := router.Decide(store.Workload("Kubernetes//Pod/ns/sleep"), netip.MustParseAddrPort("10.1.0.20:80"))
		if err != nil {
			t.Fatal(err)
		}
		counts[route.Target.String()]++
	}
	if counts["10.0.0.9:15008"] != 3 || counts["10.0.0.8:15008"] != 1 {
		t.Errorf("%v", counts)
	}
}

func TestBalance(t *testing.T) {
	endpoint := func(name, more string) proto.Message {
		return statetest.Workload(t, `{"uid":"`+name+`","name":"`+name+`","namespace":"ns","addresses":[@10.2.0.1],
			"services":{"ns/svc.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":80}]}}`+more+`}`)
	}
	near, zone := `,"node":"n1","locality":{"region":"r1","zone":"z1"}`, `,"node":"n2","locality":{"region":"r1","zone":"z1"}`
	region, far := `,"node":"n3","locality":{"region":"r1","zone":"z2"}`, `,"node":"n4","locality":{"region":"r2","zone":"z1"}`
	failover := `{"mode":"FAILOVER","routingPreference":["REGION","ZONE","NODE"]}`
	strict := `{"mode":"STRICT","routingPreference":["NODE"]}`
	for name, test := range map[string]struct {
		settings  string
		endpoints map[string]string
		want      []string // sorted, each with its share of the draws
	}{
		"all":                      {`{}`, map[string]string{"a": near, "b": far}, []string{"a", "b"}},
		"by capacity":              {`{}`, map[string]string{"a": `,"capacity":3`, "b": ``}, []string{"a", "a", "a", "b"}},
		"none without capacity":    {`{}`, map[string]string{"a": `,"capacity":0`, "b": ``}, []string{"b"}},
		"healthy ones":             {`{}`, map[string]string{"a": `,"status":"UNHEALTHY"`, "b": ``}, []string{"b"}},
		"all, healthy or not":      {`{"healthPolicy":"ALLOW_ALL"}`, map[string]string{"a": `,"status":"UNHEALTHY"`, "b": ``}, []string{"a", "b"}},
		"the same node":            {failover, map[string]string{"a": near, "b": zone, "c": far}, []string{"a"}},
		"else the same zone":       {failover, map[string]string{"b": zone, "c": region, "d": far}, []string{"b"}},
		"else the same region":     {failover, map[string]string{"c": region, "d": far}, []string{"c"}},
		"else any":                 {failover, map[string]string{"d": far, "e": far}, []string{"d", "e"}},
		"unhealthy near":           {failover, map[string]string{"a": near + `,"status":"UNHEALTHY"`, "d": far}, []string{"d"}},
		"only the same node":       {strict, map[string]string{"a": near, "b": zone}, []string{"a"}},
		"only the same node, none": {strict, map[string]string{"b": zone}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []proto.Message{statetest.Service(t, `{"name":"svc","namespace":"ns","addresses":[{"address":@10.1.0.30}],"loadBalancing":`+test.settings+`}`)}
			for uid, more := range test.endpoints {
				objects = append(objects, endpoint(uid, more))
			}
			store := mesh(t, objects...)
			source, service := store.Workload("Kubernetes//Pod/ns/sleep"), store.Service("ns/svc.ns.svc.cluster.local")
			var got []string
			for n := range uint64(len(test.want)) {
				found, _, err := Router{Store: store, Random: func(sum uint64) uint64 {
					if sum != uint64(len(test.want)) {
						t.Errorf("the sum of capacities is %d", sum)
					}
					return n
				}}.balance(source, service, 80)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, found.GetUid())
			}
			if len(test.want) == 0 {
				if _, _, err := (Router{Store: store}).balance(source, service, 80); err == nil {
					t.Error("an endpoint was found")
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
