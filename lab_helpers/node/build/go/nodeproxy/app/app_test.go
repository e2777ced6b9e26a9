package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"

	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/control/xds"
)

// expect fails the test unless the answer is as wanted.
func expect(t *testing.T, what, want string) func(string, error) {
	return func(got string, err error) {
		t.Helper()
		if got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", what, got, err, want)
		}
	}
}

func (r *running) dump() configdump.ZtunnelDump {
	r.w.t.Helper()
	_, text := r.get(r.admin, "/config_dump")
	var d configdump.ZtunnelDump
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		r.w.t.Fatal(err)
	}
	return d
}

func TestPodsTalk(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, server, outside := w.pod(r, "client", ""), w.pod(r, "server", `,"services":{"ns/server.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]}}`), w.plain()
	w.set(statetest.Service(t, `{"name":"server","namespace":"ns","addresses":[{"address":@10.96.0.1}],"ports":[{"servicePort":80,"targetPort":8080}]}`))
	server.serve(8080, who)
	outside.serve(8080, who)
	if refusal := r.cni.Snapshot(); refusal != "" {
		t.Error(refusal)
	}
	vip := netip.MustParseAddrPort("10.96.0.1:80")
	w.until("the service answers", func() error { _, err := client.call(vip, ""); return err })

	from := client.Address.String() + " "
	expect(t, "pod to pod", from+"hello")(client.call(server.At(8080), "hello"))
	expect(t, "pod to service", from+"hello")(client.call(vip, "hello"))
	expect(t, "pod to itself, by the service", server.Address.String()+" hello")(server.call(vip, "hello"))
	expect(t, "pod to outside of the mesh", from+"hello")(client.call(outside.At(8080), "hello"))
	expect(t, "from outside of the mesh", outside.Address.String()+" hello")(outside.call(server.At(8080), "hello"))
	if got, err := client.call(server.At(9), "hello"); err == nil {
		t.Errorf("a port that nobody listens on answers %q", got)
	}
	if got, err := outside.call(server.At(9), "hello"); err == nil {
		t.Errorf("from outside, a port that nobody listens on answers %q", got)
	}

	if code, text := r.get(r.readiness, "/healthz/ready"); code != 200 {
		t.Errorf("not ready: %s", text)
	}
	conn, err := client.dial(vip)
	if err != nil {
		t.Fatal(err)
	}
	w.until("the dump shows the connection", func() error {
		d := r.dump()
		out, in := d.WorkloadState["uid-client"].Connections.Outbound, d.WorkloadState["uid-server"].Connections.Inbound
		if len(out) != 1 || len(in) != 1 {
			return fmt.Errorf("%v %v", out, in)
		}
		if c := out[0]; c.Protocol != "HBONE" || c.OriginalDst != vip.String() || c.ActualDst != server.At(15008).String() {
			t.Errorf("outbound: %+v", c)
		}
		if c := in[0]; c.Protocol != "HBONE" || c.ActualDst != server.At(8080).String() || c.OriginalDst != "server.ns.svc.cluster.local" {
			t.Errorf("inbound: %+v", c)
		}
		return nil
	})
	_ = conn.Close()
	d := r.dump()
	if len(d.Workloads) != 2 || len(d.Services) != 1 || len(d.Certificates) != 2 || d.WorkloadState["uid-client"].Info.TrustDomain != "cluster.local" {
		t.Errorf("the dump: %+v", d)
	}
	for _, c := range d.Certificates {
		if c.State != "Available" || len(c.CertChain) != 1 || len(c.RootCert) != 1 {
			t.Errorf("%+v", c)
		}
	}
	_, text := r.get(r.metrics, "/stats/prometheus")
	for _, want := range []string{
		`istio_tcp_connections_opened_total{connection_security_policy="mutual_tls",destination_app="server"`,
		`source_principal="spiffe://cluster.local/ns/ns/sa/client"`, `destination_service="server.ns.svc.cluster.local"`,
		"workload_manager_active_proxy_count 2", "istio_xds_message_total{",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestWhatIsLargeComesThroughWhole(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, server := w.pod(r, "client", ""), w.pod(r, "server", "")
	server.serve(8080, echo)
	var conn io.ReadWriteCloser
	w.until("the server answers", func() error {
		c, err := client.dial(server.At(8080))
		if err == nil {
			if _, err = c.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
			}
		}
		conn = c
		return err
	})
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB: more than any window
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v", err)
	}
}

func TestPolicies(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, other, server, outside := w.pod(r, "client", ""), w.pod(r, "other", ""), w.pod(r, "server", ""), w.plain()
	server.serve(8080, who)
	server.serve(9090, echo)
	to := server.At(8080)
	for _, p := range []*member{client, other, outside} {
		w.until("the server answers", func() error { _, err := p.call(to, ""); return err })
	}
	refused := func(p *member) func() error {
		return func() error {
			if got, err := p.call(to, "x"); err == nil && got != "" {
				return errors.New("still let in")
			}
			return nil
		}
	}
	open, err := other.dial(server.At(9090))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(open, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}

	const strict = `{"name":"istio_converted_static_strict","namespace":"ns","scope":"NAMESPACE","action":"DENY",
		"groups":[{"rules":[{"matches":[{"notPrincipals":[{"presence":{}}]}]}]}]}`
	w.policy(strict)
	w.until("STRICT refuses what is plain", refused(outside))
	if err := refused(outside)(); err != nil { // the first may have been open when the policy came
		t.Error(err)
	}
	expect(t, "STRICT lets tunnels in", client.Address.String()+" x")(client.call(to, "x"))

	w.policy(`{"name":"p","namespace":"ns","scope":"WORKLOAD_SELECTOR","action":"ALLOW",
		"groups":[{"rules":[{"matches":[{"principals":[{"exact":"cluster.local/ns/ns/sa/client"}]}]}]}]}`)
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that is no longer allowed is still open")
	}
	w.until("another identity is refused", refused(other))
	if err := refused(other)(); err != nil {
		t.Error(err)
	}
	expect(t, "the right identity", client.Address.String()+" x")(client.call(to, "x"))

	w.istiod.Delete(xds.AuthorizationType, "ns/p")
	w.until("without the policy all tunnels are let in", func() error { _, err := other.call(to, ""); return err })
	_, text := r.get(r.metrics, "/metrics")
	if !strings.Contains(text, `response_flags="DENY"`) {
		t.Error("no refusal was counted")
	}
	for _, want := range []string{"connection closed due to policy change", "no policy allows it", "denied by policy ns/istio_converted_static_strict"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("the log lacks: %s", want)
		}
	}
}

func TestIstiodMayBeAway(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, server := w.pod(r, "client", ""), w.pod(r, "server", "")
	server.serve(8080, who)
	w.set(statetest.Service(t, `{"name":"gone","namespace":"ns","addresses":[{"address":@10.96.0.9}],"ports":[{"servicePort":80}]}`))
	w.until("the service is known and the server answers", func() error {
		if _, err := client.call(server.At(8080), ""); err != nil {
			return err
		}
		if len(r.dump().Services) != 1 {
			return errors.New("not known")
		}
		return nil
	})
	w.istiod.Stop()
	expect(t, "without istiod", client.Address.String()+" x")(client.call(server.At(8080), "x"))
	w.istiod.Delete(xds.AddressType, "ns/gone.ns.svc.cluster.local")
	w.istiod.Restart()
	w.until("what was deleted meanwhile is gone", func() error {
		if n := len(r.dump().Services); n != 0 {
			return fmt.Errorf("%d services", n)
		}
		return nil
	})
}
