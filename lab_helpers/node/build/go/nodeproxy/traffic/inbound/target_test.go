package inbound

import (
	"bufio"
	"bytes"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"

	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/traffic/hbone"
)

func world(t testing.TB) *state.Store {
	t.Helper()
	store := state.New()
	statetest.Apply(t, store,
		statetest.Workload(t, `{"uid":"own","name":"own","namespace":"ns","addresses":[@10.0.0.1],
			"services":{"ns/web.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]},"ns/api.ns.svc.cluster.local":{}}}`),
		statetest.Workload(t, `{"uid":"waypoint","name":"waypoint","namespace":"ns","addresses":[@10.0.0.2],"services":{"ns/wp.ns.svc.cluster.local":{}}}`),
		statetest.Workload(t, `{"uid":"sandwich","name":"sandwich","namespace":"ns","addresses":[@10.0.0.3],"applicationTunnel":{"protocol":"PROXY","port":15088}}`),
		statetest.Workload(t, `{"uid":"guarded","name":"guarded","namespace":"ns","addresses":[@10.0.0.4],"waypoint":{"address":{"address":@10.0.0.2}}}`),
		statetest.Service(t, `{"name":"web","namespace":"ns","addresses":[{"address":@10.1.0.1}],"ports":[{"servicePort":80,"targetPort":8080}]}`),
		statetest.Service(t, `{"name":"api","namespace":"ns","addresses":[{"address":@10.1.0.2}],"ports":[{"servicePort":90,"targetPort":9090}]}`),
		statetest.Service(t, `{"name":"l7","namespace":"ns","addresses":[{"address":@10.1.0.3}],"waypoint":{"hostname":{"namespace":"ns","hostname":"wp.ns.svc.cluster.local"}}}`),
	)
	return store
}

func TestAStreamGoesToThePodItself(t *testing.T) {
	store := world(t)
	for name, test := range map[string]struct{ own, authority, target string }{
		"its address":                       {"own", "10.0.0.1:8080", "10.0.0.1:8080"},
		"another pod's":                     {"own", "10.0.0.4:8080", ""},
		"this machine's own":                {"own", "127.0.0.1:15000", ""},
		"somebody outside":                  {"own", "192.0.2.1:443", ""},
		"a service that it answers for":     {"own", "web.ns.svc.cluster.local:80", "10.0.0.1:8080"},
		"a port that it does not answer at": {"own", "web.ns.svc.cluster.local:81", ""},
		"a service that nobody knows":       {"own", "none.example:80", ""},
		"a service that another answers":    {"guarded", "web.ns.svc.cluster.local:80", ""},
		"what it is the waypoint of":        {"waypoint", "10.1.0.3:80", "10.0.0.2:80"},
		"a pod that it is the waypoint of":  {"waypoint", "10.0.0.4:80", "10.0.0.2:80"},
		"what it is no waypoint of":         {"waypoint", "10.1.0.1:80", ""},
		"by way of its own tunnel":          {"sandwich", "10.1.0.1:80", "10.0.0.3:15088"},
	} {
		t.Run(name, func(t *testing.T) {
			authority, err := hbone.ParseAuthority(test.authority)
			if err != nil {
				t.Fatal(err)
			}
			own := store.Workload(test.own)
			got, err := find(store, own, own.IPs[0], authority)
			if (err == nil) != (test.target != "") || err == nil && got.address.String() != test.target {
				t.Errorf("%v, %v; want %s", got.address, err, test.target)
			}
		})
	}
}

func TestAnApplicationIsToldWhoCalls(t *testing.T) {
	store := world(t)
	own := store.Workload("sandwich")
	got, err := find(store, own, own.IPs[0], hbone.Authority{IP: netip.MustParseAddr("10.1.0.1"), Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	id := &identity.Identity{TrustDomain: "td", Namespace: "ns", ServiceAccount: "sa"}
	header, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(got.header(netip.MustParseAddrPort("10.0.0.9:4000"), id))))
	if err != nil {
		t.Fatal(err)
	}
	tlvs, err := header.TLVs()
	if err != nil || len(tlvs) != 1 || tlvs[0].Type != 0xD0 || string(tlvs[0].Value) != id.String() {
		t.Errorf("%v, %v", tlvs, err)
	}
	if header.SourceAddr.String() != "10.0.0.9:4000" || header.DestinationAddr.String() != "10.1.0.1:80" {
		t.Errorf("%v", header)
	}
}

func TestWhichServiceWasAskedFor(t *testing.T) {
	store := world(t)
	own := store.Workload("own")
	for name, test := range map[string]struct {
		port      uint16
		forwarded string
		want      string
	}{
		"by its port":            {8080, "", "web"},
		"by the service's port":  {9090, "", "api"},
		"as the client says":     {8080, `for="10.0.0.9:1";host=api.ns.svc.cluster.local`, "api"},
		"not of this workload":   {8080, `host=l7.ns.svc.cluster.local`, "web"},
		"a port of none of them": {7070, "", ""},
	} {
		if got := service(store, own, test.port, test.forwarded); (got == nil) != (test.want == "") || got != nil && got.GetName() != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add(`for="10.0.0.9:1";host=api.ns.svc.cluster.local`)
	f.Add(`;;host=";=`)
	f.Fuzz(func(t *testing.T, header string) {
		if host := forwardedHost(header); len(host) > len(header) {
			t.Errorf("%q in %q", host, header)
		}
	})
}
