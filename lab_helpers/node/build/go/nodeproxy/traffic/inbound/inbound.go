// Package inbound takes what comes to a pod: tunnels on port 15008, and plain connections on port 15006. It lets in what the policies
// allow, and passes it on to the application under the client's address.
package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/policy"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/netns"
	"lab/nodeproxy/traffic/connections"
	"lab/nodeproxy/traffic/hbone"
	"lab/nodeproxy/traffic/pod"
	"lab/nodeproxy/traffic/relay"
)

const dialTimeout = 10 * time.Second

// Inbound is one pod's.
type Inbound struct {
	pod    *pod.Pod
	server *hbone.Server
}

// New makes a pod's inbound side.
func New(p *pod.Pod) *Inbound { return &Inbound{p, hbone.NewServer()} }

// GoAway asks clients to open no more streams on the tunnels that are there.
func (i *Inbound) GoAway(ctx context.Context) { i.server.GoAway(ctx) }

// HBONE serves one connection to port 15008, until it ends or the context does.
func (i *Inbound) HBONE(ctx context.Context, conn *net.TCPConn) {
	defer conn.Close()
	from, to := netns.Address(conn.RemoteAddr()), netns.Address(conn.LocalAddr())
	refuse := func(err error) { i.pod.Connections.Refuse(true, from, to, err) }
	holder, err := i.pod.Holder(ctx)
	if err != nil {
		refuse(err)
		return
	}
	secured := tls.Server(conn, holder.Server(i.pod.CRL))
	shaking, cancel := context.WithTimeout(ctx, hbone.Timeout)
	defer cancel()
	if err := secured.HandshakeContext(shaking); err != nil {
		if !errors.Is(err, io.EOF) { // who only looks whether somebody listens is no failure
			refuse(fmt.Errorf("TLS handshake: %w", err))
		}
		return
	}
	peer, err := identity.FromCertificate(secured.ConnectionState().PeerCertificates[0])
	if err != nil { // the handshake has seen to it
		refuse(err)
		return
	}
	i.server.Serve(ctx, secured, func(w http.ResponseWriter, r *http.Request) { i.stream(w, r, from, to, &peer) })
}

// stream serves one stream: a connection of its own as far as policies, counters and the log are concerned.
func (i *Inbound) stream(w http.ResponseWriter, r *http.Request, from, to netip.AddrPort, peer *identity.Identity) {
	refuse := func(status int, err error) {
		i.pod.Connections.Refuse(true, from, to, err)
		w.WriteHeader(status)
	}
	if r.Method != http.MethodConnect {
		refuse(http.StatusBadRequest, fmt.Errorf("the method is %.20q, not CONNECT", r.Method))
		return
	}
	authority, err := hbone.ParseAuthority(r.Host)
	if err != nil {
		refuse(http.StatusBadRequest, err)
		return
	}
	workload, err := i.pod.Workload(r.Context())
	if err != nil {
		refuse(http.StatusServiceUnavailable, err)
		return
	}
	target, err := find(i.pod.Store, workload, to.Addr(), authority)
	if err != nil {
		refuse(http.StatusBadRequest, err)
		return
	}
	if pod.Reserved(target.address.Port()) {
		refuse(http.StatusServiceUnavailable, fmt.Errorf("port %d is the proxy's own", target.address.Port()))
		return
	}
	info := connections.Info{
		Pod: i.pod.UID, Inbound: true, HBONE: true, Source: from, Original: target.address, Actual: to, Authority: r.Host,
		FromWorkload: i.client(workload, from.Addr(), peer), FromID: peer.String(), ToWorkload: workload, ToID: workload.ID.String(),
		Service: service(i.pod.Store, workload, target.address.Port(), r.Header.Get("Forwarded")),
	}
	ctx, connection := i.pod.Connections.Register(r.Context(), info)
	request := policy.Request{Source: from.Addr(), Destination: target.address, Identity: peer}
	if verdict := connection.Authorize(workload, request); !verdict.Allowed {
		w.WriteHeader(http.StatusUnauthorized)
		connection.Close(metrics.FlagDenied, errors.New(verdict.Reason()))
		return
	}
	upstream, err := i.dial(ctx, target.address, from.Addr())
	if err == nil && target.header != nil {
		_, err = upstream.Write(target.header(from, peer))
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		connection.Close(metrics.FlagConnect, err)
		return
	}
	connection.Established()
	stop := context.AfterFunc(ctx, func() { relay.Abort(upstream) })
	err = hbone.Accept(w, r, upstream, connection.Received, connection.Sent)
	stop()
	if errors.Is(context.Cause(ctx), connections.ErrPolicy) {
		err = connections.ErrPolicy
	}
	connection.Close(metrics.FlagNone, err)
	if err != nil {
		hbone.Reset()
	}
}

func (i *Inbound) dial(ctx context.Context, to netip.AddrPort, from netip.Addr) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if i.pod.Net == nil {
		from = netip.Addr{} // for itself the proxy keeps its own address
	}
	return i.pod.Sockets.Dial(ctx, to, from)
}

// client is the workload that calls: the one with its address, if the certificate is that workload's.
func (i *Inbound) client(own *state.Workload, from netip.Addr, peer *identity.Identity) *state.Workload {
	w := i.pod.Store.At(state.Address{Network: own.GetNetwork(), IP: from})
	if w == nil || peer != nil && w.ID != *peer {
		return nil
	}
	return w
}

// Plaintext serves one connection to port 15006.
func (i *Inbound) Plaintext(ctx context.Context, conn *net.TCPConn) {
	defer conn.Close()
	from, to := netns.Address(conn.RemoteAddr()), netns.OriginalDestination(conn)
	refuse := func(err error) { i.pod.Connections.Refuse(true, from, to, err) }
	if pod.Reserved(to.Port()) {
		refuse(fmt.Errorf("port %d is the proxy's own", to.Port()))
		return
	}
	workload, err := i.pod.Workload(ctx)
	if err != nil {
		refuse(err)
		return
	}
	ctx, connection := i.pod.Connections.Register(ctx, connections.Info{
		Pod: i.pod.UID, Inbound: true, Source: from, Original: to, Actual: to,
		FromWorkload: i.client(workload, from.Addr(), nil), ToWorkload: workload,
		Service: service(i.pod.Store, workload, to.Port(), ""),
	})
	if verdict := connection.Authorize(workload, policy.Request{Source: from.Addr(), Destination: to}); !verdict.Allowed {
		connection.Close(metrics.FlagDenied, errors.New(verdict.Reason()))
		return
	}
	upstream, err := i.dial(ctx, to, from.Addr())
	if err != nil {
		connection.Close(metrics.FlagConnect, err)
		relay.Abort(conn) // as the kernel would have refused it
		return
	}
	connection.Established()
	err = relay.Both(ctx, conn, upstream, connection.Received, connection.Sent)
	connection.Close(metrics.FlagNone, err)
}
