package app

import (
	"context"
	"net"

	"lab/nodeproxy/config"
	"lab/nodeproxy/pods/enrol"
	"lab/nodeproxy/traffic/dns"
	"lab/nodeproxy/traffic/inbound"
	"lab/nodeproxy/traffic/outbound"
	"lab/nodeproxy/traffic/pod"
)

// proxy is what runs for one pod: its four ports, and the connections that came by them.
type proxy struct {
	pod       *pod.Pod
	in        *inbound.Inbound
	out       *outbound.Outbound
	names     *dns.Server // nil if DNS is not served
	listeners []net.Listener

	ctx     context.Context
	cancel  context.CancelFunc
	serving crowd // connections
}

// start opens the pod's listeners and begins to serve them. It waits for nothing: until istiod has sent the pod's workload and
// certificate, connections are accepted and held.
func (a *App) start(of enrol.Pod) (enrol.Proxy, error) {
	ctx, cancel := context.WithCancel(a.ctx)
	p := &proxy{ctx: ctx, cancel: cancel}
	p.pod = pod.New(ctx, a.mesh, of)
	p.in, p.out = inbound.New(p.pod), outbound.New(p.pod)
	ports := map[uint16]func(context.Context, *net.TCPConn){config.InboundHBONEPort: p.in.HBONE}
	if of.Net != nil {
		ports[config.OutboundPort], ports[config.InboundPlaintextPort] = p.out.Serve, p.in.Plaintext
	}
	type opened struct {
		net.Listener
		serve func(context.Context, *net.TCPConn)
	}
	var all []opened
	for port, serve := range ports {
		listener, err := p.pod.Sockets.Listen(p.pod.Sockets.Any(port))
		if err != nil {
			p.Close()
			return nil, err
		}
		p.listeners = append(p.listeners, listener)
		all = append(all, opened{listener, serve})
	}
	if of.Net != nil && a.mesh.Config.DNS {
		p.names = &dns.Server{
			Store: a.mesh.Store, Client: p.pod.Known, Sockets: p.pod.Sockets, Upstream: a.upstream, Domain: a.mesh.Config.ClusterDomain,
			Metrics: a.mesh.Metrics, Log: p.pod.Log,
		}
		if err := p.names.Listen(); err != nil {
			p.names = nil
			p.Close()
			return nil, err
		}
		p.names.Serve()
	}
	for _, each := range all {
		go p.pod.Accept(each.Listener, func(conn *net.TCPConn) { p.serve(each.serve, conn) })
	}
	return p, nil
}

func (p *proxy) serve(serve func(context.Context, *net.TCPConn), conn *net.TCPConn) {
	p.serving.enter()
	defer p.serving.leave()
	serve(p.ctx, conn)
}

// drain stops accepting, and asks peers to use other tunnels. What is open goes on.
func (p *proxy) drain(ctx context.Context) {
	for _, listener := range p.listeners {
		_ = listener.Close()
	}
	if p.names != nil {
		p.names.Close()
	}
	p.in.GoAway(ctx)
}

// Close ends everything at once.
func (p *proxy) Close() {
	p.cancel()
	for _, listener := range p.listeners {
		_ = listener.Close()
	}
	if p.names != nil {
		p.names.Close()
	}
	p.out.Close()
	p.pod.Close()
}
