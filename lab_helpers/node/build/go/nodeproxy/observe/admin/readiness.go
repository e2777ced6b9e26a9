package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Readiness knows what the proxy still waits for. It is ready while that is nothing.
//
// ztunnel is ready once both kinds of discovery have answered, the proxy and DNS listen, and istio-cni's snapshot is through;
// it stops being ready while istio-cni is not connected.
type Readiness struct {
	mu      sync.Mutex
	pending map[string]bool
	changed chan struct{}
}

// NewReadiness waits for all that is named.
func NewReadiness(tasks ...string) *Readiness {
	r := &Readiness{pending: map[string]bool{}, changed: make(chan struct{})}
	for _, task := range tasks {
		r.pending[task] = true
	}
	return r
}

// Await says that a task has to be done (again) before the proxy is ready.
func (r *Readiness) Await(task string) { r.set(task, true) }

// Done says that a task is done.
func (r *Readiness) Done(task string) { r.set(task, false) }

func (r *Readiness) set(task string, pending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[task] == pending {
		return
	}
	r.pending[task] = pending
	close(r.changed)
	r.changed = make(chan struct{})
}

// Pending returns what is waited for, sorted, and a channel that is closed at the next change.
func (r *Readiness) Pending() ([]string, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var tasks []string
	for task, pending := range r.pending {
		if pending {
			tasks = append(tasks, task)
		}
	}
	slices.Sort(tasks)
	return tasks, r.changed
}

// ServeHTTP answers the kubelet's readiness probe: 200, or 500 and what is still waited for.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	tasks, _ := r.Pending()
	if len(tasks) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintln(w, "not ready, pending:", strings.Join(tasks, ", "))
}
