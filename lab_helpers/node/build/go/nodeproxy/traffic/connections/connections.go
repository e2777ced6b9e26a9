// Package connections keeps the table of open connections: what config_dump shows, what policies are held against when they change,
// and what is counted and logged of each.
package connections

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lab/nodeproxy/control/policy"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/observe/metrics"
)

// ErrPolicy is why a connection ends that a policy no longer allows.
var ErrPolicy = errors.New("connection closed due to policy change")

// Info is what is known of a connection.
type Info struct {
	Pod     string // its uid
	Inbound bool
	HBONE   bool

	Source, Original, Actual netip.AddrPort
	Authority                string // of the tunnel: what was asked for
	FromWorkload, ToWorkload *state.Workload
	FromID, ToID             string // SPIFFE IDs, as far as certificates prove them
	Service                  *state.Service
}

// Registry is the table.
type Registry struct {
	store   *state.Store
	metrics *metrics.Metrics
	log     *slog.Logger // of scope access

	mu   sync.Mutex
	open map[*Connection]bool
}

// New makes an empty table.
func New(store *state.Store, m *metrics.Metrics, access *slog.Logger) *Registry {
	return &Registry{store: store, metrics: m, log: access, open: map[*Connection]bool{}}
}

// Connection is an entry of the table.
type Connection struct {
	info     Info
	registry *Registry
	request  policy.Request
	decided  *state.Workload // whose policies apply; nil if none do
	cancel   context.CancelCauseFunc
	began    time.Time

	counted        *metrics.Connection
	sent, received atomic.Int64
	done           sync.Once
}

// Register puts a connection into the table. The context ends when the connection has to. Close has to be called in the end.
func (r *Registry) Register(ctx context.Context, info Info) (context.Context, *Connection) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &Connection{info: info, registry: r, cancel: cancel, began: time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c] = true
	return ctx, c
}

// Authorize decides whether the connection may be, and keeps deciding at each change until it is closed.
//
// It is in the table before it is decided on: a policy that comes in between meets it there.
func (c *Connection) Authorize(w *state.Workload, request policy.Request) policy.Verdict {
	c.registry.mu.Lock()
	c.decided, c.request = w, request
	c.registry.mu.Unlock()
	verdict, unknown := c.registry.store.Authorize(w, request)
	if len(unknown) > 0 {
		c.registry.log.Debug("the workload names policies that istiod has not sent", "workload", w.GetUid(), "policies", unknown)
	}
	if len(verdict.DryRun) > 0 {
		c.registry.log.Info("policies that are not enforced match", "workload", w.GetUid(), "policies", verdict.DryRun)
	}
	return verdict
}

// Established counts and logs that bytes may flow.
func (c *Connection) Established() {
	c.counted = c.registry.metrics.TCP.Open(c.labels(metrics.FlagNone))
	c.registry.log.Debug("connection opened", c.attributes()...)
}

// Sent counts bytes from the destination to the source.
func (c *Connection) Sent(n int) {
	c.sent.Add(int64(n))
	c.counted.Sent.Add(float64(n))
}

// Received counts bytes from the source to the destination.
func (c *Connection) Received(n int) {
	c.received.Add(int64(n))
	c.counted.Received.Add(float64(n))
}

// Close takes the connection out of the table, counts and logs its end. flag says why it failed, if it was never established.
func (c *Connection) Close(flag string, failure error) {
	c.done.Do(func() {
		c.registry.mu.Lock()
		delete(c.registry.open, c)
		c.registry.mu.Unlock()
		c.cancel(nil)
		args := append(c.attributes(), "bytes_sent", c.sent.Load(), "bytes_recv", c.received.Load(), "duration", time.Since(c.began))
		if c.counted != nil {
			c.counted.Close()
		} else {
			c.registry.metrics.TCP.Fail(c.labels(flag))
		}
		if failure != nil {
			c.registry.log.Error("connection complete", append(args, "error", failure.Error())...)
			return
		}
		c.registry.log.Info("connection complete", args...)
	})
}

// Refuse logs a connection that ended before anything was known of it.
func (r *Registry) Refuse(inbound bool, source, destination netip.AddrPort, failure error) {
	c := &Connection{info: Info{Inbound: inbound, Source: source, Original: destination, Actual: destination}, registry: r}
	r.metrics.TCP.Fail(c.labels(metrics.FlagNone))
	r.log.Warn("connection failed", append(c.attributes(), "error", failure.Error())...)
}

// Enforce holds the policies against the open connections whenever something changes, and ends what is no longer allowed.
func (r *Registry) Enforce(ctx context.Context) {
	for {
		changed := r.store.Changed()
		for _, c := range r.inbound() {
			if verdict, _ := r.store.Authorize(c.decided, c.request); !verdict.Allowed {
				c.cancel(ErrPolicy)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// decision is a copy of what a connection is decided by.
type decision struct {
	decided *state.Workload
	request policy.Request
	cancel  context.CancelCauseFunc
}

func (r *Registry) inbound() []decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []decision
	for c := range r.open {
		if c.decided != nil {
			list = append(list, decision{c.decided, c.request, c.cancel})
		}
	}
	return list
}

// Of returns the open connections of a pod, the oldest first.
func (r *Registry) Of(pod string) []Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(r.open), func(a, b *Connection) int { return a.began.Compare(b.began) })
	var list []Info
	for _, c := range all {
		if c.info.Pod == pod {
			list = append(list, c.info)
		}
	}
	return list
}

// Count returns how many connections are open.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}
