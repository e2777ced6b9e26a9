package hbone

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/istiod/istiodtest"
	"lab/nodeproxy/observe/logging"
)

const patience = 10 * time.Second

var (
	sleep   = identity.Identity{TrustDomain: "td", Namespace: "ns", ServiceAccount: "sleep"}
	httpbin = identity.Identity{TrustDomain: "td", Namespace: "ns", ServiceAccount: "httpbin"}
)

// application serves TCP on loopback.
func application(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			go serve(conn.(*net.TCPConn))
		}
	}()
	return listener.Addr().String()
}

// echo answers with what it gets, once it has got all of it.
func echo(conn *net.TCPConn) {
	data, _ := io.ReadAll(conn)
	_, _ = conn.Write(data)
	_ = conn.Close()
}

// world is a tunnel's two ends on loopback.
type world struct {
	t        *testing.T
	server   *Server
	pool     *Pool
	holder   *certificates.Holder // of the server
	own      *certificates.Certificate
	target   netip.AddrPort
	dials    atomic.Int32
	mu       sync.Mutex
	received []error // what Accept returned
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: NewServer()}
	istiod := istiodtest.Start(t)
	authority := &certificates.Authority{Dial: istiod.Endpoint.Dial, TTL: time.Hour}
	manager := certificates.NewManager(t.Context(), authority.Fetch, certificates.Defaults, logging.Discard())
	w.holder = manager.Acquire(httpbin)
	var err error
	if w.own, err = manager.Acquire(sleep).Certificate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.pool = NewPool(func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
		w.dials.Add(1)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil
	}, nil)
	t.Cleanup(w.pool.Close)
	w.target = w.listen(w.serve)
	return w
}

func (w *world) listen(serve func(net.Conn)) netip.AddrPort {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// serve is a node proxy without policies: it passes on what is asked for.
func (w *world) serve(conn net.Conn) {
	secured := tls.Server(conn, w.holder.Server(nil))
	defer conn.Close()
	if secured.Handshake() != nil {
		return
	}
	w.server.Serve(w.t.Context(), secured, func(rw http.ResponseWriter, r *http.Request) {
		if r.Host == "192.0.2.1:1" {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		upstream, err := net.Dial("tcp", r.Host)
		if err != nil {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		err = Accept(rw, r, upstream.(*net.TCPConn), func(int) {}, func(int) {})
		w.mu.Lock()
		w.received = append(w.received, err)
		w.mu.Unlock()
		if err != nil {
			Reset()
		}
	})
}

// open asks for a stream, and returns what to write to and what to read from.
func (w *world) open(ctx context.Context, authority string, names ...string) (*io.PipeWriter, io.ReadCloser, error) {
	if len(names) == 0 {
		names = []string{httpbin.String()}
	}
	reader, writer := io.Pipe()
	answer, err := w.pool.Open(ctx, NewPeer(sleep, names, w.target), w.own, Request{Authority: authority, Headers: http.Header{}}, reader, nil)
	return writer, answer, err
}

func (w *world) mustOpen(authority string) (*io.PipeWriter, io.ReadCloser) {
	w.t.Helper()
	writer, answer, err := w.open(w.t.Context(), authority)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = answer.Close() })
	return writer, answer
}
