package dns

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/netns"
	"lab/nodeproxy/pods/netns/netnstest"
)

func world(t testing.TB) (*state.Store, *state.Workload) {
	t.Helper()
	store := state.New()
	statetest.Apply(t, store,
		statetest.Workload(t, `{"name":"sleep","namespace":"ns","addresses":[@10.0.0.1]}`),
		statetest.Workload(t, `{"name":"a","namespace":"ns","addresses":[@10.0.0.2],"services":{"ns/headless.ns.svc.cluster.local":{}}}`),
		statetest.Workload(t, `{"name":"b","namespace":"ns","addresses":[@10.0.0.3],"status":"UNHEALTHY","services":{"ns/headless.ns.svc.cluster.local":{}}}`),
		statetest.Service(t, `{"name":"web","namespace":"ns","addresses":[{"address":@10.1.0.1},{"address":@2001:db8::1},{"address":@10.9.9.9,"network":"other"}]}`),
		statetest.Service(t, `{"name":"web","namespace":"other","addresses":[{"address":@10.1.0.2}]}`),
		statetest.Service(t, `{"name":"headless","namespace":"ns"}`),
		statetest.Service(t, `{"name":"nobody","namespace":"ns"}`),
		statetest.Service(t, `{"name":"entry","namespace":"ns","hostname":"api.example","addresses":[{"address":@240.240.0.1}]}`),
		statetest.Service(t, `{"name":"wild","namespace":"ns","hostname":"*.wild.example","addresses":[{"address":@240.240.0.2}]}`),
		statetest.Service(t, `{"name":"hidden","namespace":"other","hostname":"hidden.example","addresses":[{"address":@240.240.0.3}],"visibility":"NAMESPACE"}`),
	)
	return store, store.Workload("Kubernetes//Pod/ns/sleep")
}

func TestLookup(t *testing.T) {
	store, client := world(t)
	for asked, want := range map[string]string{
		"web.ns.svc.cluster.local.": "10.1.0.1 2001:db8::1",
		"WEB.ns.svc.cluster.local.": "10.1.0.1 2001:db8::1",
		"web.":                      "10.1.0.1 2001:db8::1",
		"web.other.":                "10.1.0.2",
		"web.other.svc.":            "10.1.0.2",
		"web.other.svc.cluster.local.ns.svc.cluster.local.": "10.1.0.2",
		"headless.ns.svc.cluster.local.":                    "10.0.0.2",
		"nobody.ns.svc.cluster.local.":                      "",
		"api.example.":                                      "240.240.0.1",
		"api.example.ns.svc.cluster.local.":                 "240.240.0.1",
		"api.example.svc.cluster.local.":                    "240.240.0.1",
		"api.example.cluster.local.":                        "240.240.0.1",
		"www.api.example.":                                  "",
		"a.wild.example.":                                   "240.240.0.2",
		"a.b.wild.example.cluster.local.":                   "240.240.0.2",
		"wild.example.":                                     "",
		"hidden.example.":                                   "",
		"example.":                                          "",
		".":                                                 "",
		"cluster.local.":                                    "",
	} {
		found, is := lookup(store, client, "cluster.local", asked)
		var got []string
		for _, ip := range found.addresses {
			got = append(got, ip.String())
		}
		if strings.Join(got, " ") != want || is != (want != "") {
			t.Errorf("%s: %v, want %s", asked, got, want)
		}
	}
}

// upstream is a name server that knows one name.
func upstream(t *testing.T, pod netnstest.Pod) {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(question)
		if question.Question[0].Name == "many.test." {
			for n := range 100 {
				answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: "many.test.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.IPv4(192, 0, 2, byte(n))})
			}
			_ = w.WriteMsg(answer)
			return
		}
		if question.Question[0].Name != "outside.test." {
			answer.Rcode = dns.RcodeNameError
		} else {
			answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: "outside.test.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.IPv4(192, 0, 2, 7)})
		}
		_ = w.WriteMsg(answer)
	})
	packets, err := pod.Sockets().ListenPacket(pod.At(53))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := pod.Sockets().Listen(pod.At(53))
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: stream, Handler: handler}} {
		go func() { _ = server.ActivateAndServe() }()
	}
	t.Cleanup(func() {
		_ = packets.Close()
		_ = stream.Close()
	})
}

// start runs a server in a pod under istio-cni's rules, and returns how an application of the pod asks.
func start(t *testing.T, servers func(netnstest.Pod) []netip.AddrPort) func(name string, kind uint16, stream bool) *dns.Msg {
	t.Helper()
	node := netnstest.NewNode(t)
	pod, outside := node.Pod(t), node.Pod(t)
	pod.Redirect(t)
	upstream(t, outside)
	store, client := world(t)
	server := &Server{
		Store: store, Client: func() *state.Workload { return client },
		Sockets:  netns.Sockets{Namespace: pod.Namespace, Mark: 1337, IPv6: true},
		Upstream: servers(outside), Domain: "cluster.local", Metrics: metrics.New("test"), Log: logging.Discard(),
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	server.Serve()
	t.Cleanup(server.Close)
	return func(name string, kind uint16, stream bool) *dns.Msg {
		t.Helper()
		question := new(dns.Msg).SetQuestion(name, kind)
		var conn net.Conn
		var err error
		asker := &dns.Client{Timeout: 10 * time.Second}
		if stream {
			asker.Net = "tcp"
			conn, err = pod.Sockets().Dial(t.Context(), outside.At(53), netip.Addr{})
		} else {
			conn, err = pod.Sockets().DialPacket(outside.At(53))
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answer, _, err := asker.ExchangeWithConn(question, &dns.Conn{Conn: conn})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return answer
	}
}

func records(answer *dns.Msg) (list []string) {
	for _, record := range answer.Answer {
		switch r := record.(type) {
		case *dns.A:
			list = append(list, r.A.String())
		case *dns.AAAA:
			list = append(list, r.AAAA.String())
		case *dns.CNAME:
			list = append(list, r.Target)
		}
	}
	return list
}

func TestAPodAsks(t *testing.T) {
	ask := start(t, func(outside netnstest.Pod) []netip.AddrPort { return []netip.AddrPort{outside.At(54), outside.At(53)} })
	for _, stream := range []bool{false, true} {
		for _, test := range []struct {
			name  string
			kind  uint16
			code  int
			known bool
			want  []string
		}{
			{"web.ns.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, true, []string{"10.1.0.1"}},
			{"web.ns.svc.cluster.local.", dns.TypeAAAA, dns.RcodeSuccess, true, []string{"2001:db8::1"}},
			{"api.example.", dns.TypeAAAA, dns.RcodeSuccess, true, nil},
			{"api.example.ns.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, true, []string{"api.example.", "240.240.0.1"}},
			{"outside.test.", dns.TypeA, dns.RcodeSuccess, false, []string{"192.0.2.7"}},
			{"unknown.test.", dns.TypeA, dns.RcodeNameError, false, nil},
			{"web.ns.svc.cluster.local.", dns.TypeTXT, dns.RcodeNameError, false, nil},
		} {
			answer := ask(test.name, test.kind, stream)
			if got := records(answer); answer.Rcode != test.code || answer.Authoritative != test.known || !slices.Equal(got, test.want) {
				t.Errorf("%s %s: %s %v", test.name, dns.TypeToString[test.kind], dns.RcodeToString[answer.Rcode], got)
			}
		}
	}
	if answer := ask("many.test.", dns.TypeA, false); !answer.Truncated {
		t.Error("an answer that is too long for a datagram was not cut")
	}
	if answer := ask("many.test.", dns.TypeA, true); len(answer.Answer) != 100 {
		t.Errorf("%d of 100 records by stream", len(answer.Answer))
	}
}

func TestWithoutNameServersTheAnswerIsAFailure(t *testing.T) {
	ask := start(t, func(outside netnstest.Pod) []netip.AddrPort { return []netip.AddrPort{outside.At(54)} })
	if answer := ask("outside.test.", dns.TypeA, true); answer.Rcode != dns.RcodeServerFailure {
		t.Errorf("%s", dns.RcodeToString[answer.Rcode])
	}
	if answer := ask("web.", dns.TypeA, true); answer.Rcode != dns.RcodeSuccess {
		t.Errorf("what is known: %s", dns.RcodeToString[answer.Rcode])
	}
}

func TestUpstreams(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for text, want := range map[string]int{"nameserver 10.0.0.10\nnameserver 2001:db8::2\nsearch a b\n": 2, "search a\n": 0} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Upstreams(file); len(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := Upstreams(file + ".none"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestAPodThatIsNotKnownIsForwardedFor(t *testing.T) {
	store, _ := world(t)
	server := &Server{Store: store, Domain: "cluster.local", Client: func() *state.Workload { return nil }}
	if answer := server.known(new(dns.Msg).SetQuestion("web.", dns.TypeA)); answer != nil {
		t.Errorf("answered with %v", answer)
	}
}

func FuzzQuestion(f *testing.F) {
	store, client := world(f)
	server := &Server{Store: store, Domain: "cluster.local", Client: func() *state.Workload { return client }}
	for _, name := range []string{"web.", "a.wild.example.cluster.local.", "."} {
		data, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		question := new(dns.Msg)
		if question.Unpack(data) != nil {
			return
		}
		if answer := server.known(question); answer != nil {
			if answer.Id != question.Id || len(answer.Question) != 1 {
				t.Errorf("the answer to %v is %v", question, answer)
			}
			if _, err := answer.Pack(); err != nil {
				t.Errorf("%v: %v", answer, err)
			}
		}
	})
}
