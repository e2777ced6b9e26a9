package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"lab/nodeproxy/control/state"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/netns"
	"lab/nodeproxy/traffic/connections"
	"lab/nodeproxy/traffic/hbone"
	"lab/nodeproxy/traffic/pod"
	"lab/nodeproxy/traffic/relay"
)

// Outbound is one pod's.
type Outbound struct {
	pod    *pod.Pod
	pool   *hbone.Pool
	router Router
}

// New makes a pod's outbound side.
func New(p *pod.Pod) *Outbound {
	o := &Outbound{pod: p, router: Router{Store: p.Store}}
	o.pool = hbone.NewPool(func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
		return p.Sockets.Dial(ctx, to, netip.Addr{})
	}, p.CRL)
	return o
}

// Close ends all tunnels.
func (o *Outbound) Close() { o.pool.Close() }

// Serve serves one connection of the pod's, until it ends or the context does.
func (o *Outbound) Serve(ctx context.Context, conn *net.TCPConn) {
	defer conn.Close()
	from, to := netns.Address(conn.RemoteAddr()), netns.OriginalDestination(conn)
	refuse := func(err error) {
		o.pod.Connections.Refuse(false, from, to, err)
		relay.Abort(conn)
	}
	if to.Addr().IsLoopback() && pod.Reserved(to.Port()) || to == netns.Address(conn.LocalAddr()) {
		refuse(errors.New("the proxy itself was called"))
		return
	}
	source, err := o.pod.Workload(ctx)
	if err != nil {
		refuse(err)
		return
	}
	route, failure := o.router.Decide(source, to)
	if failure == nil && route.Hostname != "" {
		route.Target, failure = resolve(ctx, route.Hostname, route.Target.Port())
	}
	info := connections.Info{
		Pod: o.pod.UID, HBONE: route.Tunnel, Source: from, Original: to, Actual: route.Target, FromWorkload: source,
		ToWorkload: route.To, Service: route.Service,
	}
	if route.Tunnel {
		info.Authority, info.FromID, info.ToID = route.Authority.String(), source.ID.String(), route.To.ID.String()
	}
	ctx, connection := o.pod.Connections.Register(ctx, info)
	switch {
	case failure != nil:
		connection.Close(metrics.FlagConnect, failure)
		relay.Abort(conn)
	case route.Tunnel:
		o.tunnel(ctx, conn, connection, source, route, from)
	default:
		o.plain(ctx, conn, connection, route.Target)
	}
}

func resolve(ctx context.Context, host string, port uint16) (netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, hbone.Timeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		return netip.AddrPort{}, fmt.Errorf("%s has no address: %w", host, err)
	}
	return netip.AddrPortFrom(found[0].Unmap(), port), nil
}

// plain goes to where nobody has a tunnel.
func (o *Outbound) plain(ctx context.Context, conn *net.TCPConn, connection *connections.Connection, to netip.AddrPort) {
	dialling, cancel := context.WithTimeout(ctx, hbone.Timeout)
	upstream, err := o.pod.Sockets.Dial(dialling, to, netip.Addr{})
	cancel()
	if err != nil {
		connection.Close(metrics.FlagConnect, err)
		relay.Abort(conn)
		return
	}
	connection.Established()
	err = relay.Both(ctx, conn, upstream, connection.Received, connection.Sent)
	connection.Close(metrics.FlagNone, err)
}

// tunnel goes by tunnel.
func (o *Outbound) tunnel(ctx context.Context, conn *net.TCPConn, connection *connections.Connection, source *state.Workload, route Route, from netip.AddrPort) {
	fail := func(flag string, err error) {
		connection.Close(flag, err)
		relay.Abort(conn)
	}
	holder, err := o.pod.Holder(ctx)
	if err != nil {
		fail(metrics.FlagIdentity, err)
		return
	}
	waiting, cancel := context.WithTimeout(ctx, hbone.Timeout)
	own, err := holder.Certificate(waiting)
	cancel()
	if err != nil {
		fail(metrics.FlagIdentity, err)
		return
	}
	host := ""
	if route.Service != nil {
		host = route.Service.GetHostname()
	}
	up := &upload{conn: conn, count: connection.Received, done: make(chan struct{})}
	peer := hbone.NewPeer(source.ID, route.Names, route.Target)
	to := hbone.Request{Authority: route.Authority.String(), Headers: hbone.Headers(source, from, host)}
	answer, err := o.pool.Open(ctx, peer, own, to, up, connection.Established)
	if err != nil {
		fail(hbone.Flag(err), err)
		return
	}
	err = download(conn, answer, connection.Sent)
	if err != nil {
		relay.Abort(conn)
	} else {
		<-up.done // the pod may still be sending
		err = up.failure
	}
	_ = answer.Close()
	connection.Close(metrics.FlagNone, err)
}
