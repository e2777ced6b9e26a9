package hbone

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http2"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/observe/metrics"
)

// Peer is who a tunnel leads from and to. Connections are shared between streams of one peer only: whoever talks over a connection is
// who its certificates say.
type Peer struct {
	Source identity.Identity
	Names  string // SPIFFE IDs, one of which the other end has to have, with spaces between
	Target netip.AddrPort
}

// NewPeer makes a peer of the names.
func NewPeer(source identity.Identity, names []string, target netip.AddrPort) Peer {
	return Peer{source, strings.Join(names, " "), target}
}

// Pool keeps connections to peers. It belongs to one pod.
type Pool struct {
	dial      func(context.Context, netip.AddrPort) (*net.TCPConn, error)
	crl       *certificates.CRL
	transport *http2.Transport

	mu      sync.Mutex
	closed  bool
	entries map[Peer]*entry
}

// entry is one peer's connections.
type entry struct {
	conns   []*http2.ClientConn
	dialing chan struct{} // closed when the dial under way is over; nil if there is none
}

// NewPool makes an empty pool.
func NewPool(dial func(context.Context, netip.AddrPort) (*net.TCPConn, error), crl *certificates.CRL) *Pool {
	return &Pool{dial: dial, crl: crl, entries: map[Peer]*entry{}, transport: &http2.Transport{
		DisableCompression: true, IdleConnTimeout: idleTimeout, ReadIdleTimeout: pingAfter, PingTimeout: pingTimeout,
		MaxHeaderListSize: maxHeaders,
	}}
}

// take returns a connection with room for one more stream, reserved: one that is there, or a new one. For each peer one is dialled at
// a time, and who comes meanwhile waits for it.
func (p *Pool) take(ctx context.Context, peer Peer, own *certificates.Certificate) (*http2.ClientConn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, failed(metrics.FlagConnect, "the pod has left the mesh")
		}
		e := p.entries[peer]
		if e == nil {
			e = &entry{}
			p.entries[peer] = e
		}
		if conn := e.reserve(); conn != nil {
			p.mu.Unlock()
			return conn, nil
		}
		dialing := e.dialing
		if dialing == nil {
			e.dialing = make(chan struct{})
			p.mu.Unlock()
			return p.open(ctx, peer, e, own)
		}
		p.mu.Unlock()
		select {
		case <-dialing:
		case <-ctx.Done():
			return nil, failed(metrics.FlagConnect, "%v: %w", peer.Target, context.Cause(ctx))
		}
	}
}

// reserve returns a connection that takes one more stream, and forgets those that take none ever again. The lock is held.
func (e *entry) reserve() *http2.ClientConn {
	kept := e.conns[:0]
	var found *http2.ClientConn
	for _, conn := range e.conns {
		state := conn.State()
		if state.Closed || state.Closing {
			continue
		}
		kept = append(kept, conn)
		if found == nil && state.StreamsActive+state.StreamsReserved < usedStreams && conn.ReserveNewRequest() {
			found = conn
		}
	}
	clear(e.conns[len(kept):])
	e.conns = kept
	return found
}

// open dials, and lets those who wait look again.
func (p *Pool) open(ctx context.Context, peer Peer, e *entry, own *certificates.Certificate) (*http2.ClientConn, error) {
	conn, err := p.connect(ctx, peer, own)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(e.dialing)
	e.dialing = nil
	if err != nil {
		if len(e.conns) == 0 {
			delete(p.entries, peer)
		}
		return nil, err
	}
	if p.closed {
		_ = conn.Close()
		return nil, failed(metrics.FlagConnect, "the pod has left the mesh")
	}
	if !conn.ReserveNewRequest() {
		_ = conn.Close()
		return nil, failed(metrics.FlagHandshake, "%v takes no streams", peer.Target)
	}
	p.sweep()
	p.entries[peer] = e
	e.conns = append(e.conns, conn)
	return conn, nil
}

// sweep forgets peers to whom no connection is left. The lock is held.
func (p *Pool) sweep() {
	for peer, e := range p.entries {
		e.conns = slices.DeleteFunc(e.conns, func(conn *http2.ClientConn) bool { return conn.State().Closed })
		if len(e.conns) == 0 && e.dialing == nil {
			delete(p.entries, peer)
		}
	}
}

func (p *Pool) connect(ctx context.Context, peer Peer, own *certificates.Certificate) (*http2.ClientConn, error) {
	dialling, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	tcp, err := p.dial(dialling, peer.Target)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, failed(metrics.FlagNetworkPolicy, "nobody answers (does a NetworkPolicy block port %d?): %w", peer.Target.Port(), err)
	}
	if err != nil {
		return nil, failed(metrics.FlagConnect, "%w", err)
	}
	secured := tls.Client(tcp, certificates.Client(own, strings.Fields(peer.Names), p.crl))
	shaking, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if err := secured.HandshakeContext(shaking); err != nil {
		_ = tcp.Close()
		var wrong *certificates.Error
		if errors.As(err, &wrong) && wrong.Revoked {
			return nil, failed(metrics.FlagRevoked, "%v: %w", peer.Target, err)
		}
		return nil, failed(metrics.FlagTLS, "%v: %w", peer.Target, err)
	}
	if protocol := secured.ConnectionState().NegotiatedProtocol; protocol != http2.NextProtoTLS {
		_ = tcp.Close()
		return nil, failed(metrics.FlagHandshake, "%v speaks %q, not HTTP/2", peer.Target, protocol)
	}
	client, err := p.transport.NewClientConn(secured)
	if err != nil {
		_ = tcp.Close()
		return nil, failed(metrics.FlagHandshake, "%v: %w", peer.Target, err)
	}
	return client, nil
}

// Close ends every connection, with all of its streams.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for peer, e := range p.entries {
		for _, conn := range e.conns {
			_ = conn.Close()
		}
		delete(p.entries, peer)
	}
}
