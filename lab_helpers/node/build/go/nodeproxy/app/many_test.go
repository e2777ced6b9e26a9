package app

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/control/xds"
)

// resources are what a connection could leave behind.
func resources(t *testing.T) (files, goroutines int) {
	t.Helper()
	found, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(found), runtime.NumGoroutine()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Many connections leave nothing behind; NODE_PROXY_CONNECTIONS says how many, by tunnel, plain and refused in turn.
func TestManyConnectionsLeaveNothingBehind(t *testing.T) {
	total := number(t, "NODE_PROXY_CONNECTIONS", 300)
	w := newWorld(t)
	r := w.start()
	client, server, outside := w.pod(r, "client", ""), w.pod(r, "server", ""), w.plain()
	server.serve(8080, who)
	from := client.Address.String() + " "
	kinds := []func() error{
		func() error { return answered(client.call(server.At(8080), "x"))(from + "x") },
		func() error { return answered(outside.call(server.At(8080), "x"))(outside.Address.String() + " x") },
		func() error {
			if _, err := client.call(server.At(9), "x"); err == nil {
				return errors.New("a port that nobody listens on answers")
			}
			return nil
		},
	}
	for _, each := range kinds {
		w.until("each kind of call", each)
	}
	files, goroutines := resources(t)
	before := heap()
	began := time.Now()
	var next, wrong atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := next.Add(1); n <= int64(total); n = next.Add(1) {
				if err := kinds[n%int64(len(kinds))](); err != nil && wrong.Add(1) < 5 {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	w.until("no more files and goroutines than before", func() error {
		f, g := resources(t)
		// A tunnel that is kept, and what the runtime keeps.
		if f > files+16 || g > goroutines+24 {
			return fmt.Errorf("%d files, %d before; %d goroutines, %d before", f, files, g, goroutines)
		}
		return nil
	})
	f, g := resources(t)
	t.Logf("%d connections in %v; files %d → %d, goroutines %d → %d, heap %d → %d KiB", total, took.Round(time.Millisecond), files, f, goroutines, g, before>>10, heap()>>10)
	if after := heap(); after > before+6<<20 { // 2 MiB of it are the log that the test keeps
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if _, text := r.get(r.metrics, "/metrics"); !strings.Contains(text, `istio_tcp_sockets_open{reporter="source"} 0`) {
		t.Error("the counters say that connections are open")
	}
}

func answered(got string, err error) func(string) error {
	return func(want string) error {
		if err == nil && got != want {
			err = fmt.Errorf("the answer is %q, want %q", got, want)
		}
		return err
	}
}

// number is what the environment says, for a soak.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Pods come and go under load, and no call is lost: istiod takes a pod out of its service before the pod goes, as Kubernetes does.
// NODE_PROXY_RECREATIONS says how many.
func TestPodsComeAndGoUnderLoad(t *testing.T) {
	rounds := number(t, "NODE_PROXY_RECREATIONS", 4)
	w := newWorld(t)
	r := w.start()
	const of = `,"services":{"ns/web.ns.svc.cluster.local":{"ports":[{"servicePort":80,"targetPort":8080}]}}`
	vip := netip.MustParseAddrPort("10.96.0.1:80")
	client := w.pod(r, "client", "")
	w.set(statetest.Service(t, `{"name":"web","namespace":"ns","addresses":[{"address":@10.96.0.1}],"ports":[{"servicePort":80,"targetPort":8080}]}`))
	come := func(n int) *member {
		pod := w.pod(r, fmt.Sprintf("web-%d", n), "")
		pod.serve(8080, who)
		w.until("the pod answers", func() error {
			return answered(client.call(pod.At(8080), "x"))(client.Address.String() + " x")
		})
		w.workload(pod, of) // now it is ready
		return pod
	}
	current := come(0)
	w.until("the service answers", func() error { return answered(client.call(vip, "x"))(client.Address.String() + " x") })
	good, bad, stop := meanwhile(func() error {
		err := answered(client.call(vip, "x"))(client.Address.String() + " x")
		if err != nil {
			t.Error(err)
		}
		return err
	})
	for n := 1; n <= rounds; n++ {
		next := come(n)
		w.until("the new pod is in the service", func() error {
			if found := len(r.dump().Services[0].Endpoints); found != 2 {
				return fmt.Errorf("%d endpoints", found)
			}
			return nil
		})
		w.istiod.Delete(xds.AddressType, "Kubernetes//Pod/ns/"+current.name)
		w.until("the old pod is out of the service", func() error {
			if found := len(r.dump().Workloads); found != 2 {
				return fmt.Errorf("%d workloads", found)
			}
			return nil
		})
		before := good.Load()
		w.until("what was under way has ended", func() error {
			if good.Load()+bad.Load() < before+2 {
				return errors.New("not yet")
			}
			return nil
		})
		if refusal := r.cni.Delete("uid-" + current.name); refusal != "" {
			t.Error(refusal)
		}
		current = next
	}
	stop()
	t.Logf("%d pods, %d calls", rounds, good.Load())
	if bad.Load() > 0 || good.Load() < int64(rounds) {
		t.Errorf("%d calls succeeded and %d failed", good.Load(), bad.Load())
	}
}
