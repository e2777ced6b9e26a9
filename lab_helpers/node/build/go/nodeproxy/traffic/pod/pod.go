// Package pod is what the parts of the proxy that serve one pod have in common: the mesh around it, its sockets, who it is, and its
// certificate.
package pod

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"lab/nodeproxy/config"
	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/enrol"
	"lab/nodeproxy/pods/netns"
	"lab/nodeproxy/traffic/connections"
)

// Mesh is what all pods share.
type Mesh struct {
	Config       config.Config
	Store        *state.Store
	Certificates *certificates.Manager
	CRL          *certificates.CRL
	Connections  *connections.Registry
	Metrics      *metrics.Metrics
	Log          *slog.Logger
}

// Patience is how long a connection waits for istiod to have sent the pod's own workload: a pod that has just started is known to
// istiod a moment later.
const Patience = 5 * time.Second

// Pod is one pod.
type Pod struct {
	*Mesh
	enrol.Pod
	Sockets netns.Sockets
	Log     *slog.Logger

	last   atomic.Pointer[state.Workload]
	mu     sync.Mutex
	holder *certificates.Holder
	closed bool
}

// New makes a pod, and has its certificate fetched as soon as it is known who it is; the context ends that.
func New(ctx context.Context, mesh *Mesh, of enrol.Pod) *Pod {
	p := &Pod{Mesh: mesh, Pod: of, Log: mesh.Log.With("pod", of.Namespace+"/"+of.Name)}
	p.Sockets = netns.Sockets{
		Namespace: of.Net, IPv6: mesh.Config.IPv6, ReusePort: mesh.Config.ReusePort,
		Unspoofed: func(err error) { p.Log.Warn("a connection goes on without its client's address", "error", err) },
	}
	if of.Net != nil {
		p.Sockets.Mark = mesh.Config.PacketMark
	}
	go p.prefetch(ctx)
	return p
}

func (p *Pod) prefetch(ctx context.Context) {
	if w, err := p.Store.AwaitPod(ctx, p.Config.NodeName, p.Namespace, p.Name, p.ServiceAccount); err == nil && w.HBONE() {
		p.holderOf(w)
	}
}

// Workload returns the pod's own workload, and waits for it with Patience.
//
// A pod that is going may be forgotten by istiod before istio-cni takes it back. What is under way then goes on as it was last known;
// ztunnel would wait, and then drop it.
func (p *Pod) Workload(ctx context.Context) (*state.Workload, error) {
	if w := p.Known(); w != nil {
		return w, nil
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return p.Store.AwaitPod(ctx, p.Config.NodeName, p.Namespace, p.Name, p.ServiceAccount)
}

// Known returns the pod's own workload as it was last sent, or nil if istiod has not sent it yet.
func (p *Pod) Known() *state.Workload {
	if w := p.Store.Pod(p.Config.NodeName, p.Namespace, p.Name, p.ServiceAccount); w != nil {
		p.last.Store(w)
		return w
	}
	return p.last.Load()
}

// Holder returns what holds the pod's certificate.
func (p *Pod) Holder(ctx context.Context) (*certificates.Holder, error) {
	w, err := p.Workload(ctx)
	if err != nil {
		return nil, err
	}
	if holder := p.holderOf(w); holder != nil {
		return holder, nil
	}
	return nil, fmt.Errorf("pod %s/%s has left the mesh", p.Namespace, p.Name)
}

// holderOf holds the certificate of the workload's identity, and lets go of one that it had before; nil once the pod is closed.
func (p *Pod) holderOf(w *state.Workload) *certificates.Holder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.holder != nil && p.holder.ID == w.ID {
		return p.holder
	}
	if p.holder != nil {
		p.holder.Release()
	}
	p.holder = p.Certificates.Acquire(w.ID)
	return p.holder
}

// Close lets go of the certificate.
func (p *Pod) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.holder != nil {
		p.holder.Release()
		p.holder = nil
	}
}

// Accept calls handle for each connection, in a goroutine of its own, until the listener is closed.
func (p *Pod) Accept(listener net.Listener, handle func(*net.TCPConn)) {
	pause := time.Millisecond
	for {
		conn, err := listener.Accept()
		if err == nil {
			pause = time.Millisecond
			tcp := conn.(*net.TCPConn)
			netns.Tune(tcp)
			go handle(tcp)
			continue
		}
		if isClosed(err) {
			return
		}
		// Too many open files, or out of memory: that passes, and the other pods must not be made to suffer from it.
		p.Log.Error("no connection can be accepted", "error", err, "again_in", pause)
		time.Sleep(pause)
		pause = min(2*pause, time.Second)
	}
}
