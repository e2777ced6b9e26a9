package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lab/nodeproxy/config"
	"lab/nodeproxy/control/istiod/istiodtest"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/control/xds"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/pods/netns/netnstest"
	"lab/nodeproxy/pods/zds/zdstest"
)

// patience is how long anything is waited for.
const patience = 20 * time.Second

// world is a node with istio-cni's socket and rules, an istiod, and the node proxy between them.
type world struct {
	t      testing.TB
	istiod *istiodtest.Istiod
	cni    *zdstest.Server
	node   *netnstest.Node
	log    *lines
}

// lines is the end of a log that tests read.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text = append(l.text, p...); len(l.text) > 2<<20 {
		l.text = append([]byte(nil), l.text[1<<20:]...)
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, istiod: istiodtest.Start(t), cni: zdstest.Listen(t), node: netnstest.NewNode(t), log: &lines{}}
	t.Cleanup(func() {
		if t.Failed() {
			text := w.log.String()
			t.Log(text[max(0, len(text)-4000):])
		}
	})
	return w
}

// running is one node proxy.
type running struct {
	w              *world
	cni            *zdstest.Conn
	admin, metrics string
	readiness      string
	stop           context.CancelFunc
	ended          chan error
}

func free(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// start starts a node proxy and waits for it to come to istio-cni.
func (w *world) start() *running {
	w.t.Helper()
	resolv := filepath.Join(w.t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 192.0.2.53\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	levels, err := logging.NewLevels("info")
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := config.FromEnvironment([]string{
		"XDS_ADDRESS=" + w.istiod.Endpoint.Address, "XDS_ROOT_CA=" + w.istiod.Endpoint.RootCert, "AUTH_TOKEN=" + w.istiod.Endpoint.Token,
		"NODE_NAME=node", "INPOD_UDS=" + w.cni.Socket, "CONNECTION_TERMINATION_DEADLINE=10s",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &running{w: w, admin: free(w.t), metrics: free(w.t), readiness: free(w.t), ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	o := Options{
		Config: c, Version: "test", Log: logging.New(w.log, levels, false), Levels: levels, Admin: r.admin, Metrics: r.metrics,
		Readiness: r.readiness, ResolvConf: resolv, FirstRetry: time.Millisecond, LastRetry: 20 * time.Millisecond, PodRetry: 20 * time.Millisecond,
	}
	go func() { r.ended <- Run(ctx, o) }()
	w.t.Cleanup(func() {
		stop()
		r.wait()
	})
	r.cni = w.cni.Accept(w.t)
	return r
}

// wait waits for the proxy to end; it may be called again.
func (r *running) wait() {
	r.w.t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			r.w.t.Error(err)
		}
		r.ended <- nil
	case <-time.After(patience):
		r.w.t.Error("the proxy has not ended")
	}
}

// get asks one of the proxy's own ports.
func (r *running) get(address, path string) (int, string) {
	r.w.t.Helper()
	response, err := http.Get("http://" + address + path)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// member is a pod of the node.
type member struct {
	netnstest.Pod
	w    *world
	name string
}

// plain makes a pod outside of the mesh.
func (w *world) plain() *member { return &member{Pod: w.node.Pod(w.t), w: w} }

// pod makes a pod of the mesh: istio-cni lays its rules and hands it over, and then istiod learns of it.
func (w *world) pod(r *running, name string, more string) *member {
	w.t.Helper()
	p := &member{Pod: w.node.Pod(w.t), w: w, name: name}
	p.Redirect(w.t)
	if refusal := r.cni.Add("uid-"+name, "ns", name, name, int(netnstest.File(w.t, p.Namespace).Fd())); refusal != "" {
		w.t.Fatal(refusal)
	}
	w.workload(p, more)
	return p
}

func (w *world) workload(p *member, more string) {
	w.set(statetest.Workload(w.t, fmt.Sprintf(`{"name":%q,"namespace":"ns","serviceAccount":%q,"workloadName":%q,"canonicalName":%q,
		"addresses":[@%v],"tunnelProtocol":"HBONE","node":"node","authorizationPolicies":["ns/p"]%s}`, p.name, p.name, p.name, p.name, p.Address, more)))
}

// set has istiod send workloads and services.
func (w *world) set(objects ...proto.Message) {
	for name, address := range statetest.Addresses(objects...) {
		w.istiod.Set(xds.AddressType, name, address)
	}
}

// policy has istiod send a policy.
func (w *world) policy(text string) {
	p := statetest.Policy(w.t, text)
	w.istiod.Set(xds.AuthorizationType, p.Namespace+"/"+p.Name, p)
}

// serve runs an application in the pod.
func (p *member) serve(port uint16, serve func(*net.TCPConn)) {
	p.w.t.Helper()
	listener, err := p.Sockets().Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.w.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			go func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			}()
		}
	}()
}

// dial connects as an application of the pod does, until the end of the test.
func (p *member) dial(to netip.AddrPort) (*net.TCPConn, error) {
	conn, err := p.connect(to)
	if err == nil {
		p.w.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// connect does so without seeing to the end.
func (p *member) connect(to netip.AddrPort) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(p.w.t.Context(), patience)
	defer cancel()
	conn, err := p.Sockets().Dial(ctx, to, netip.Addr{})
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// call sends a text and returns the whole answer.
func (p *member) call(to netip.AddrPort, text string) (string, error) {
	conn, err := p.connect(to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// who answers with the caller's address and what it sent.
func who(conn *net.TCPConn) {
	text, _ := io.ReadAll(conn)
	address, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	_, _ = io.WriteString(conn, address+" "+string(text))
}

// echo gives back what comes, as it comes.
func echo(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }

// until tries until it succeeds: istiod's word takes its way to the proxy.
func (w *world) until(what string, try func() error) {
	w.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(patience)
	var err error
	for {
		if err = try(); err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-late:
			w.t.Fatalf("after %v still not: %s (%v)", patience, what, err)
		}
	}
}

// meanwhile makes calls one after the other until it is told to stop, and counts those that came back and those that did not.
func meanwhile(call func() error) (good, bad *atomic.Int64, stop func()) {
	good, bad = new(atomic.Int64), new(atomic.Int64)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
			}
			if call() != nil {
				bad.Add(1)
			} else {
				good.Add(1)
			}
		}
	}()
	return good, bad, func() {
		close(end)
		<-ended
	}
}
