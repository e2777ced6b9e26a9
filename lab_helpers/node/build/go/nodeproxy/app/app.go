// Package app puts the node proxy together, from the first connection to istiod to the last one of a pod.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/config"
	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/istiod"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/xds"
	"lab/nodeproxy/observe/admin"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/enrol"
	"lab/nodeproxy/pods/zds"
	"lab/nodeproxy/traffic/connections"
	"lab/nodeproxy/traffic/dns"
	"lab/nodeproxy/traffic/pod"
)

// What the proxy is not ready without, beside what package enrol says.
const (
	taskWorkloads = "istiod has sent all workloads and services"
	taskPolicies  = "istiod has sent all policies"
)

// Options are what differs between the program and its tests.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	Levels  *logging.Levels

	// Where the proxy itself is asked; see Ports for the program's.
	Admin, Metrics, Readiness string
	// ResolvConf is the file of name servers that what the mesh does not know is passed on to.
	ResolvConf string
	// The times between two tries, for tests; zero for ztunnel's.
	FirstRetry, LastRetry time.Duration
	PodRetry              time.Duration
}

// Ports are ztunnel's: the first is for istioctl, by port forwarding, and so on loopback only.
func Ports(o Options) Options {
	o.Admin = fmt.Sprintf("127.0.0.1:%d", config.AdminPort)
	o.Metrics = fmt.Sprintf(":%d", config.MetricsPort)
	o.Readiness = fmt.Sprintf(":%d", config.ReadinessPort)
	o.ResolvConf = "/etc/resolv.conf"
	o.FirstRetry, o.LastRetry, o.PodRetry = 10*time.Millisecond, 15*time.Second, 5*time.Second
	return o
}

// App is a node proxy.
type App struct {
	options   Options
	ctx       context.Context // of everything that serves; ends after the drain
	mesh      *pod.Mesh
	readiness *admin.Readiness
	pods      *enrol.Manager
	upstream  []netip.AddrPort
	quit      context.CancelFunc
}

// Run runs the proxy until the context ends, and then drains it: open connections live on until they end or the time for it is over.
func Run(ctx context.Context, o Options) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	a := &App{options: o, ctx: serving, quit: quit}
	a.readiness = admin.NewReadiness(taskWorkloads, taskPolicies, enrol.TaskCNI)
	store, m := state.New(), metrics.New(o.Version)
	endpoint := istiod.Endpoint{Address: o.Config.CAAddress, RootCert: o.Config.RootCert, Token: o.Config.Token, Cluster: o.Config.ClusterID}
	authority := &certificates.Authority{Dial: endpoint.Dial, TTL: o.Config.SecretTTL}
	a.mesh = &pod.Mesh{
		Config: o.Config, Store: store, Metrics: m, Log: o.Log,
		Certificates: certificates.NewManager(serving, authority.Fetch, certificates.Defaults, logging.Scope(o.Log, "certificates")),
		CRL:          certificates.NewCRL(o.Config.CRL, logging.Scope(o.Log, "certificates")),
		Connections:  connections.New(store, m, logging.Scope(o.Log, "access")),
	}
	a.pods = enrol.New(a.start, a.readiness, m, logging.Scope(o.Log, "pods"), o.PodRetry)
	var err error
	if a.upstream, err = dns.Upstreams(o.ResolvConf); err != nil {
		o.Log.Warn("names that the mesh does not know will have no answer", "error", err)
	}
	if err := a.serveItself(serving); err != nil {
		return err
	}
	var background sync.WaitGroup
	background.Go(func() { a.mesh.Connections.Enforce(serving) })
	synced := make(chan struct{})
	background.Go(func() { a.discover(serving, synced) })
	self, err := a.self()
	if err != nil {
		return err
	}
	background.Go(func() {
		select {
		case <-synced: // a pod that is taken over before would only wait for its workload
			client := &zds.Client{
				Socket: o.Config.ZDSSocket, Pods: a.pods, Log: logging.Scope(o.Log, "zds"), First: o.FirstRetry, Last: o.LastRetry,
			}
			client.Run(serving)
		case <-serving.Done():
		}
	})
	<-ctx.Done()
	a.drain(self)
	stop()
	background.Wait()
	return nil
}

// serveItself opens the ports at which the proxy itself is asked.
func (a *App) serveItself(ctx context.Context) error {
	for _, each := range []struct {
		address string
		handler http.Handler
	}{
		{a.options.Admin, admin.Handler(a.dump, a.options.Levels, a.quit)},
		{a.options.Metrics, a.mesh.Metrics.Handler()},
		{a.options.Readiness, readiness(a.readiness)},
	} {
		listener, err := net.Listen("tcp", each.address)
		if err != nil {
			return fmt.Errorf("the proxy's own ports: %w", err)
		}
		go admin.Serve(ctx, a.options.Log, listener, each.handler)
	}
	return nil
}

func readiness(r *admin.Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz/ready", r)
	return mux
}

// discover receives what istiod says; synced is closed when both kinds have been received once.
func (a *App) discover(ctx context.Context, synced chan struct{}) {
	c := a.mesh.Config
	endpoint := istiod.Endpoint{Address: c.XDSAddress, RootCert: c.RootCert, Token: c.Token, Cluster: c.ClusterID}
	tasks := map[string]string{xds.AddressType: taskWorkloads, xds.AuthorizationType: taskPolicies}
	client := &xds.Client{
		Dial: endpoint.Dial, Node: xds.Node(c, a.options.Version), Log: logging.Scope(a.options.Log, "xds"), Metrics: a.mesh.Metrics,
		Kinds: []xds.Kind{
			{URL: xds.AddressType, Apply: xds.Decoded[workloadapi.Address](a.mesh.Store.ApplyAddresses)},
			{URL: xds.AuthorizationType, Apply: xds.Decoded[security.Authorization](a.mesh.Store.ApplyPolicies)},
		},
		Synced: func(url string) {
			a.readiness.Done(tasks[url])
			if delete(tasks, url); len(tasks) == 0 && synced != nil {
				close(synced)
				synced = nil
			}
		},
		First: a.options.FirstRetry, Last: a.options.LastRetry,
	}
	client.Run(ctx)
}

// self takes tunnels to the proxy's own pod, as ztunnel does where it is told who it is; nil where it is not.
func (a *App) self() (*proxy, error) {
	c := a.mesh.Config
	if c.PodName == "" || c.PodNamespace == "" || c.ServiceAccount == "" {
		return nil, nil
	}
	started, err := a.start(enrol.Pod{UID: "self", Name: c.PodName, Namespace: c.PodNamespace, ServiceAccount: c.ServiceAccount})
	if err != nil {
		return nil, fmt.Errorf("tunnels to the proxy itself: %w", err)
	}
	return started.(*proxy), nil
}
