package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/pods/enrol"
	"lab/nodeproxy/pods/zds/zdstest"
	"lab/nodeproxy/traffic/hbone"
)

func TestAServiceWithAWaypointIsReachedThroughIt(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, waypoint := w.pod(r, "client", ""), w.plain()
	waypoint.name = "waypoint"
	w.workload(waypoint, `,"services":{"ns/waypoint.ns.svc.cluster.local":{"ports":[{"servicePort":15008,"targetPort":15008}]}}`)
	w.set(
		statetest.Service(t, `{"name":"waypoint","namespace":"ns","addresses":[{"address":@10.96.0.2}],"ports":[{"servicePort":15008,"targetPort":15008}]}`),
		statetest.Service(t, `{"name":"web","namespace":"ns","addresses":[{"address":@10.96.0.1}],"ports":[{"servicePort":80}],
			"waypoint":{"hostname":{"namespace":"ns","hostname":"waypoint.ns.svc.cluster.local"},"hboneMtlsPort":15008}}`))

	authority := &certificates.Authority{Dial: w.istiod.Endpoint.Dial, TTL: 3600e9}
	manager := certificates.NewManager(t.Context(), authority.Fetch, certificates.Defaults, logging.Discard())
	holder := manager.Acquire(identity.Identity{TrustDomain: "cluster.local", Namespace: "ns", ServiceAccount: "waypoint"})
	server := hbone.NewServer()
	waypoint.serve(15008, func(conn *net.TCPConn) {
		secured := tls.Server(conn, holder.Server(nil))
		if secured.Handshake() != nil {
			return
		}
		server.Serve(t.Context(), secured, func(rw http.ResponseWriter, request *http.Request) {
			peer, _ := identity.FromCertificate(secured.ConnectionState().PeerCertificates[0])
			_, _ = fmt.Fprintf(rw, "%s for %s, %s", peer.ServiceAccount, request.Host, request.Header.Get("Forwarded"))
		})
	})
	w.until("the waypoint answers", func() error {
		conn, err := client.dial(netip.MustParseAddrPort("10.96.0.1:80"))
		if err != nil {
			return err
		}
		got, err := io.ReadAll(conn)
		if want := "client for 10.96.0.1:80, for=\"" + conn.LocalAddr().String() + "\";host=web.ns.svc.cluster.local"; err == nil && string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
		return err
	})
}

func TestTheNewProxyTakesOver(t *testing.T) {
	w := newWorld(t)
	first := w.start()
	client, server := w.pod(first, "client", ""), w.pod(first, "server", "")
	server.serve(8080, who)
	server.serve(9090, echo)
	first.cni.Snapshot()
	w.until("the server answers", func() error { _, err := client.call(server.At(8080), ""); return err })
	open, err := client.dial(server.At(9090))
	if err != nil {
		t.Fatal(err)
	}
	echoed := func() error {
		if _, err := open.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(open, make([]byte, 1))
		return err
	}
	if err := echoed(); err != nil {
		t.Fatal(err)
	}

	// Calls go on all the while, one after the other.
	good, bad, stop := meanwhile(func() error { return answered(client.call(server.At(8080), "x"))(client.Address.String() + " x") })
	second := w.start()
	for _, p := range []*member{client, server} {
		file, err := p.Reopen()
		if err != nil {
			t.Fatal(err)
		}
		if refusal := second.cni.Add("uid-"+p.name, "ns", p.name, p.name, int(file.Fd())); refusal != "" {
			t.Fatal(refusal)
		}
		_ = file.Close()
	}
	second.cni.Snapshot()
	w.until("the new proxy is ready", func() error {
		if code, text := second.get(second.readiness, "/healthz/ready"); code != 200 {
			return errors.New(text)
		}
		return nil
	})
	before := good.Load()
	first.stop()
	w.until("calls after the old proxy was told to end", func() error {
		if n := good.Load(); n < before+20 {
			return fmt.Errorf("%d", n-before)
		}
		return nil
	})
	if err := echoed(); err != nil {
		t.Errorf("a connection that was open did not live on: %v", err)
	}
	_ = open.Close()
	first.wait()
	expect(t, "after the old proxy has ended", client.Address.String()+" x")(client.call(server.At(8080), "x"))
	stop()
	// What the kernel had queued for the old proxy in the moment that it stopped listening is lost; nothing else is.
	if g, b := good.Load(), bad.Load(); b > 2 || g < 20 {
		t.Errorf("%d calls succeeded and %d failed", g, b)
	}
}

func TestAPodThatLeaves(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, server := w.pod(r, "client", ""), w.pod(r, "server", "")
	server.serve(9090, echo)
	w.until("the server answers", func() error { _, err := client.call(server.At(9090), "x"); return err })
	open, err := client.dial(server.At(9090))
	if err != nil {
		t.Fatal(err)
	}
	if refusal := r.cni.Delete("uid-server"); refusal != "" {
		t.Error(refusal)
	}
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a connection to a pod that has left is still open")
	}
	if got, err := client.call(server.At(9090), "x"); err == nil {
		t.Errorf("a pod that has left answers %q", got)
	}
	if _, is := r.dump().WorkloadState["uid-server"]; is {
		t.Error("a pod that has left is in the dump")
	}
}

func TestIstioCNIMayBeAway(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, server := w.pod(r, "client", ""), w.pod(r, "server", "")
	server.serve(8080, who)
	r.cni.Snapshot()
	w.until("the server answers", func() error { _, err := client.call(server.At(8080), ""); return err })
	w.cni.Close()
	r.cni.Close()
	w.until("not ready", func() error {
		if code, text := r.get(r.readiness, "/healthz/ready"); code != 500 || !strings.Contains(text, enrol.TaskCNI) {
			return errors.New(text)
		}
		return nil
	})
	expect(t, "without istio-cni", client.Address.String()+" x")(client.call(server.At(8080), "x"))
	_ = os.Remove(w.cni.Socket)
	again := zdstest.ListenAt(t, w.cni.Socket).Accept(t)
	again.Keep("uid-client")
	again.Keep("uid-server")
	again.Snapshot()
	w.until("ready", func() error {
		if code, text := r.get(r.readiness, "/healthz/ready"); code != 200 {
			return errors.New(text)
		}
		return nil
	})
	expect(t, "with istio-cni again", client.Address.String()+" x")(client.call(server.At(8080), "x"))
}

func TestPodsAreTakenBeforeIstiodKnowsThem(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	client, server := w.pod(r, "client", ""), w.plain()
	server.name = "server"
	server.Redirect(t)
	// istio-cni waits for the answer, and only then does the pod start, and istiod learn of it.
	if refusal := r.cni.Add("uid-server", "ns", "server", "server", int(fileOf(t, server).Fd())); refusal != "" {
		t.Fatal(refusal)
	}
	server.serve(8080, who)
	result := make(chan error, 1)
	go func() {
		got, err := client.call(server.At(8080), "early")
		if err == nil && !strings.HasSuffix(got, " early") {
			err = fmt.Errorf("the answer is %q", got)
		}
		result <- err
	}()
	w.until("the call has come to the pod", func() error {
		if !strings.Contains(socketsOf(t, server), "15006") {
			return errors.New("no listener")
		}
		return nil
	})
	w.workload(server, "")
	if err := <-result; err != nil {
		t.Errorf("a call that came before istiod's word: %v", err)
	}
}

func fileOf(t *testing.T, p *member) *os.File {
	t.Helper()
	file, err := p.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// socketsOf returns the ports that somebody listens on in the pod.
func socketsOf(t *testing.T, p *member) string {
	t.Helper()
	var ports []string
	_ = p.Do(func() error {
		for _, name := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile(filepath.Join("/proc/thread-self/net", name))
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(text)) {
				if fields := strings.Fields(line); len(fields) > 3 && fields[3] == "0A" {
					var port int
					_, hex, _ := strings.Cut(fields[1], ":")
					if _, err := fmt.Sscanf(hex, "%X", &port); err == nil {
						ports = append(ports, fmt.Sprint(port))
					}
				}
			}
		}
		return nil
	})
	return strings.Join(ports, " ")
}

func TestAnIdentityThatIstiodRefuses(t *testing.T) {
	w := newWorld(t)
	const revoked = "spiffe://cluster.local/ns/ns/sa/client"
	w.istiod.Refuse(revoked, true)
	r := w.start()
	client, other, server, outside := w.pod(r, "client", ""), w.pod(r, "other", ""), w.pod(r, "server", ""), w.plain()
	server.serve(8080, who)
	outside.serve(8080, who)
	w.until("others are served", func() error { _, err := other.call(server.At(8080), ""); return err })
	if got, err := client.call(server.At(8080), "x"); err == nil {
		t.Errorf("without a certificate the answer is %q", got)
	}
	expect(t, "what needs no certificate", client.Address.String()+" x")(client.call(outside.At(8080), "x"))
	if _, text := r.get(r.metrics, "/metrics"); !strings.Contains(text, `response_flags="IDENTITY_ERROR"`) {
		t.Error("it was not counted")
	}
	for _, c := range r.dump().Certificates {
		if c.Identity == revoked && !strings.HasPrefix(c.State, "Unavailable: ") {
			t.Errorf("its state is %s", c.State)
		}
	}
	if !strings.Contains(w.log.String(), `no new certificate	identity="`+revoked) {
		t.Error("the log does not say so")
	}
	w.istiod.Refuse(revoked, false)
	w.until("served when istiod agrees", func() error { _, err := client.call(server.At(8080), "x"); return err })
}
