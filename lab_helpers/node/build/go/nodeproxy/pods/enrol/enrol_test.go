package enrol

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"istio.io/istio/pkg/zdsapi"

	"lab/nodeproxy/observe/admin"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/netns"
	"lab/nodeproxy/pods/netns/netnstest"
)

var info = &zdsapi.WorkloadInfo{Name: "sleep-1", Namespace: "default", ServiceAccount: "sleep"}

type proxy struct{ closed bool }

func (p *proxy) Close() { p.closed = true }

// world starts proxies that do nothing, the first failures times not at all.
type world struct {
	*Manager
	failures  int
	started   []*proxy
	readiness *admin.Readiness
}

func newWorld(failures int) *world {
	w := &world{failures: failures, readiness: admin.NewReadiness(TaskCNI)}
	start := func(Pod) (Proxy, error) {
		if w.failures > 0 {
			w.failures--
			return nil, errors.New("address in use")
		}
		w.started = append(w.started, &proxy{})
		return w.started[len(w.started)-1], nil
	}
	w.Manager = New(start, w.readiness, metrics.New("test"), logging.Discard(), time.Millisecond)
	return w
}

func (w *world) expect(t *testing.T, closed ...bool) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.started) != len(closed) {
		t.Fatalf("%d proxies were started, want %d", len(w.started), len(closed))
	}
	for i, want := range closed {
		if w.started[i].closed != want {
			t.Errorf("proxy %d: closed is %v, want %v", i, w.started[i].closed, want)
		}
	}
}

func (w *world) add(t *testing.T, uid string, ns *netns.Namespace) error {
	t.Helper()
	file, err := ns.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	return w.Add(uid, info, file)
}

func TestAPodThatIsNamedAgain(t *testing.T) {
	w, one, two := newWorld(0), netnstest.New(t), netnstest.New(t)
	for _, ns := range []*netns.Namespace{one, one, two} {
		if err := w.add(t, "uid", ns); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(t, true, false) // the same namespace is nothing new, another one begins anew
	w.Delete("uid")
	w.Delete("nobody")
	w.expect(t, true, true)
}

func TestTheSnapshotEndsWhatItDoesNotName(t *testing.T) {
	w, ns := newWorld(0), netnstest.New(t)
	_ = w.add(t, "a", ns)
	_ = w.add(t, "b", ns)
	if err := w.Keep("b"); err != nil {
		t.Fatal(err)
	}
	w.Only(map[string]bool{"b": true})
	w.expect(t, true, false)
	w.Close()
	w.expect(t, true, true)
	if err := w.add(t, "c", ns); err == nil {
		t.Error("a pod was taken after the end")
	}
}

func TestAPodWithoutListenersIsRefusedAndTriedAgain(t *testing.T) {
	w := newWorld(2)
	w.Connected(true)
	if err := w.add(t, "uid", netnstest.New(t)); err == nil {
		t.Fatal("a pod without listeners was taken")
	}
	deadline := time.After(5 * time.Second)
	for {
		tasks, changed := w.readiness.Pending()
		if len(tasks) == 0 {
			break
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("still waiting for %v after 5 s", tasks)
		}
	}
	w.expect(t, false)
	w.Connected(false)
	if tasks, _ := w.readiness.Pending(); len(tasks) != 1 || tasks[0] != TaskCNI {
		t.Errorf("without istio-cni these are waited for: %v", tasks)
	}
	w.expect(t, false)
}

func TestWhatIsNoNamespaceIsRefused(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	if err := newWorld(0).Add("uid", info, file); err == nil {
		t.Error("a plain file was taken for a network namespace")
	}
	if err := file.Close(); err == nil {
		t.Error("the refused file was left open")
	}
}
