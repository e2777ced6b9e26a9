package hbone

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"istio.io/istio/pkg/hbone"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
)

// Istio's own, simpler implementation of the tunnel (istio.io/istio, pkg/hbone) is the other end here.

func TestIstiosServer(t *testing.T) {
	w := newWorld(t)
	server := hbone.NewServer()
	w.target = w.listen(func(conn net.Conn) {
		own, err := w.holder.Certificate(t.Context())
		if err != nil {
			return
		}
		secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own.TLS}, NextProtos: []string{"h2"}, ClientAuth: tls.RequireAnyClientCert})
		if secured.Handshake() != nil {
			return
		}
		w.server.Serve(t.Context(), secured, server.Handler.ServeHTTP)
	})
	writer, answer := w.mustOpen(application(t, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }))
	sent := bytes.Repeat([]byte("x"), 100_000)
	go func() { _, _ = writer.Write(sent) }()
	if got, err := io.ReadAll(io.LimitReader(answer, int64(len(sent)))); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestIstiosClient(t *testing.T) {
	w := newWorld(t)
	dialer := hbone.NewDialer(hbone.Config{ProxyAddress: w.target.String(), TLS: certificates.Client(w.own, []string{httpbin.String()}, nil)})
	conn, err := dialer.Dial("tcp", application(t, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	late := time.AfterFunc(patience, func() { _ = conn.Close() })
	defer late.Stop()
	sent := bytes.Repeat([]byte("y"), 100_000)
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v", err)
	}
}

func TestHeaders(t *testing.T) {
	store := state.New()
	statetest.Apply(t, store, statetest.Workload(t, `{"uid":"u","name":"sleep-1","namespace":"ns","workloadName":"sleep","canonicalName":"sleep","canonicalRevision":"v1",
		"clusterId":"east","locality":{"region":"r 1","zone":"z1"}}`))
	got := Headers(store.Workload("u"), netip.MustParseAddrPort("10.0.0.1:4000"), "web.ns.svc.cluster.local")
	want := http.Header{
		"Baggage":   {"k8s.cluster.name=east,k8s.namespace.name=ns,k8s.deployment.name=sleep,service.name=sleep,service.version=v1,cloud.region=r%201,cloud.availability_zone=z1"},
		"Forwarded": {`for="10.0.0.1:4000";host=web.ns.svc.cluster.local`},
	}
	for name := range want {
		if got.Get(name) != want.Get(name) {
			t.Errorf("%s is %s, want %s", name, got.Get(name), want.Get(name))
		}
	}
	if len(got.Get("Traceparent")) != 55 {
		t.Errorf("traceparent is %q", got.Get("Traceparent"))
	}
}
