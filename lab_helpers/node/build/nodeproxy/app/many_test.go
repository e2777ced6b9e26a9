package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
	total := 300
	if text := os.Getenv("NODE_PROXY_CONNECTIONS"); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
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
	if after := heap(); after > before+16<<20 {
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
