package dump

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/traffic/connections"
)

func world(t *testing.T) configdump.ZtunnelDump {
	t.Helper()
	store := state.New()
	statetest.Apply(t, store,
		statetest.Workload(t, `{"name":"web-1","namespace":"ns","addresses":[@10.0.0.1],"tunnelProtocol":"HBONE","status":"UNHEALTHY","node":"n",
			"waypoint":{"address":{"address":@10.1.0.2}},"services":{"ns/web.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]}}}`),
		statetest.Service(t, `{"name":"web","namespace":"ns","addresses":[{"address":@10.1.0.1},{"network":"net1","address":@10.2.0.0,"length":16}],
			"ports":[{"servicePort":80,"targetPort":8080}],"ipFamilies":"DUAL","visibility":"NAMESPACE","waypoint":{"hostname":{"namespace":"ns","hostname":"wp.ns.svc.cluster.local"}},
			"loadBalancing":{"mode":"FAILOVER","routingPreference":["NETWORK","SUBZONE"],"healthPolicy":"ALLOW_ALL"}}`),
		statetest.Service(t, `{"name":"wp","namespace":"ns","addresses":[{"address":@10.1.0.2}]}`),
		statetest.Policy(t, `{"name":"p","namespace":"ns","scope":"WORKLOAD_SELECTOR","action":"DENY","groups":[{"rules":[{"matches":[
			{"principals":[{"exact":"a"},{"prefix":"b"},{"suffix":"c"},{"presence":{}}],"sourceIps":[{"address":@10.0.0.0,"length":8}],"destinationPorts":[80],
			"notServiceAccounts":[{"namespace":"ns","serviceAccount":"sa"}]}]}]}]}`))
	var d configdump.ZtunnelDump
	workloads, services, policies := store.All()
	for _, w := range workloads {
		d.Workloads = append(d.Workloads, Workload(w))
	}
	for _, s := range services {
		d.Services = append(d.Services, Service(s, store.Endpoints(s.Key())))
	}
	for _, p := range policies {
		d.Policies = append(d.Policies, Policy(p))
	}
	id := identity.Identity{TrustDomain: "td", Namespace: "ns", ServiceAccount: "sa"}
	d.Certificates = []*configdump.CertsDump{Certificate(certificates.State{ID: id}), Certificate(certificates.State{ID: id, Failure: errors.New("refused")})}
	d.WorkloadState = map[string]configdump.WorkloadState{"uid": {State: "Up", Info: configdump.WorkloadInfo{Name: "web-1", Namespace: "ns"}, Connections: Connections([]connections.Info{
		{Inbound: true, HBONE: true, Source: netip.MustParseAddrPort("10.0.0.9:4000"), Original: netip.MustParseAddrPort("10.0.0.1:8080"), Actual: netip.MustParseAddrPort("10.0.0.1:15008")},
		{Source: netip.MustParseAddrPort("10.0.0.1:4000"), Original: netip.MustParseAddrPort("192.0.2.1:443"), Actual: netip.MustParseAddrPort("192.0.2.1:443")},
	})}}
	return d
}

func TestZtunnelsWords(t *testing.T) {
	text, err := json.Marshal(world(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"protocol":"HBONE"`, `"status":"Unhealthy"`, `"waypoint":{"destination":"/10.1.0.2"}`, `"vips":["/10.1.0.1"]`, `"cidrVips":["net1/10.2.0.0/16"]`,
		`"ports":{"80":8080}`, `"waypoint":{"destination":"ns/wp.ns.svc.cluster.local"}`, `"mode":"Failover","routingPreferences":["Network","Subzone"],"healthPolicy":"AllowAll"`,
		`"endpoints":{"Kubernetes//Pod/ns/web-1":{"workloadUid":"Kubernetes//Pod/ns/web-1","service":"ns/web.ns.svc.cluster.local","port":{"80":8080}}}`,
		`"ipFamilies":"Dual"`, `"visibility":"Namespace"`, `"scope":"WorkloadSelector","action":"Deny"`,
		`"principals":[{"Exact":"a"},{"Prefix":"b"},{"Suffix":"c"},{"Presence":{}}],"sourceIps":["10.0.0.0/8"],"destinationPorts":[80]`,
		`"state":"Initializing","certChain":[],"rootCerts":[]`, `"state":"Unavailable: refused"`,
		`"inbound":[{"src":"10.0.0.9:4000","originalDst":"","actualDst":"10.0.0.1:8080","protocol":"HBONE"}]`,
		`"outbound":[{"src":"10.0.0.1:4000","originalDst":"192.0.2.1:443","actualDst":"192.0.2.1:443","protocol":"TCP"}]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
}

// istioctl's own tables are made of it.
func TestIstioctlReadsIt(t *testing.T) {
	text, err := json.Marshal(world(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	writer := &configdump.ConfigWriter{Stdout: &out}
	if err := writer.Prime(text); err != nil {
		t.Fatal(err)
	}
	for _, print := range []func() error{
		func() error { return writer.PrintWorkloadSummary(configdump.WorkloadFilter{}) },
		func() error { return writer.PrintServiceSummary(configdump.ServiceFilter{}) },
		func() error { return writer.PrintPolicySummary(configdump.PolicyFilter{}) },
		func() error { return writer.PrintConnectionsSummary(configdump.ConnectionsFilter{}) },
		writer.PrintSecretSummary,
	} {
		if err := print(); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"web-1", "HBONE", "wp", "Unavailable", "Initializing", "Deny", "web-1.ns:8080"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("istioctl shows no %s:\n%s", want, out.String())
		}
	}
}
