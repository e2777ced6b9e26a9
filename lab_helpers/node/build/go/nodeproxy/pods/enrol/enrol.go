// Package enrol holds the pods of the node that are in the mesh, each with its listeners, as istio-cni says.
//
// The rules are ztunnel's: a pod that is named again stays as it is; one with a new network namespace begins anew; one whose listeners
// cannot be opened is refused, kept, and tried again every five seconds; and when istio-cni is lost, all go on.
package enrol

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"istio.io/istio/pkg/zdsapi"

	"lab/nodeproxy/observe/admin"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/netns"
)

// The tasks that the proxy is not ready without.
const (
	TaskCNI  = "istio-cni has sent all pods"
	TaskPods = "every pod has its listeners"
)

// Pod is a pod that istio-cni handed over.
type Pod struct {
	UID, Name, Namespace, ServiceAccount string

	Net *netns.Namespace // nil: the proxy's own
}

// Proxy is what runs for one pod.
type Proxy interface {
	// Close ends listening and every connection at once.
	Close()
}

// Start opens a pod's listeners and begins to serve them. It must not wait for anything from outside.
type Start func(Pod) (Proxy, error)

// Manager starts and stops the proxies of pods. It is what package zds calls.
type Manager struct {
	start     Start
	readiness *admin.Readiness
	metrics   *metrics.Metrics
	log       *slog.Logger
	retry     time.Duration

	mu      sync.Mutex
	pods    map[string]*entry
	stopped bool
}

type entry struct {
	pod   Pod
	proxy Proxy       // nil while pending
	again *time.Timer // set while pending
}

// New makes a manager without pods. A pod whose listeners cannot be opened is tried again after retry.
func New(start Start, readiness *admin.Readiness, m *metrics.Metrics, log *slog.Logger, retry time.Duration) *Manager {
	return &Manager{start: start, readiness: readiness, metrics: m, log: log, retry: retry, pods: map[string]*entry{}}
}

// Add takes over a pod and the file of its network namespace.
func (m *Manager) Add(uid string, info *zdsapi.WorkloadInfo, file *os.File) error {
	namespace, err := netns.FromFile(file)
	if err != nil {
		_ = file.Close()
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		_ = namespace.Close()
		return fmt.Errorf("the node proxy is shutting down")
	}
	if known := m.pods[uid]; known != nil {
		if known.proxy != nil && known.pod.Net.Inode() == namespace.Inode() {
			return namespace.Close()
		}
		m.drop(uid)
	}
	added := &entry{pod: Pod{uid, info.GetName(), info.GetNamespace(), info.GetServiceAccount(), namespace}}
	m.pods[uid] = added
	err = m.open(added)
	m.count()
	return err
}

// open starts a pod's proxy, or has it tried again.
func (m *Manager) open(e *entry) error {
	proxy, err := m.start(e.pod)
	if err != nil {
		e.again = time.AfterFunc(m.retry, func() { m.reopen(e) })
		return err
	}
	e.proxy, e.again = proxy, nil
	m.metrics.PodsStarted.Inc()
	return nil
}

func (m *Manager) reopen(e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || m.pods[e.pod.UID] != e || e.proxy != nil {
		return
	}
	if err := m.open(e); err != nil {
		m.log.Warn("pod is still without listeners", "uid", e.pod.UID, "error", err)
	}
	m.count()
}

// Keep is for a pod whose network namespace istio-cni has not got: nothing changes.
func (m *Manager) Keep(string) error { return nil }

// Delete stops a pod at once.
func (m *Manager) Delete(uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(uid)
	m.count()
}

// Only stops every pod that is not named.
func (m *Manager) Only(named map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid := range m.pods {
		if !named[uid] {
			m.log.Info("pod left while istio-cni was away", "uid", uid)
			m.drop(uid)
		}
	}
	m.count()
}

// Connected notes whether istio-cni is there and has sent all pods.
func (m *Manager) Connected(is bool) {
	if is {
		m.readiness.Done(TaskCNI)
	} else {
		m.readiness.Await(TaskCNI)
	}
}

// Refuse takes no more pods; those that are there stay, and may leave. istio-cni tries again, with the proxy that comes next.
func (m *Manager) Refuse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
}

// Close stops all pods, and takes no more.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for uid := range m.pods {
		m.drop(uid)
	}
	m.count()
}

// Each calls f for every pod, with its proxy, nil if its listeners are not open.
func (m *Manager) Each(f func(Pod, Proxy)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.pods {
		f(e.pod, e.proxy)
	}
}

// drop forgets a pod. The lock is held.
func (m *Manager) drop(uid string) {
	known := m.pods[uid]
	if known == nil {
		return
	}
	delete(m.pods, uid)
	if known.again != nil {
		known.again.Stop()
	}
	if known.proxy != nil {
		known.proxy.Close()
		m.metrics.PodsStopped.Inc()
	}
	_ = known.pod.Net.Close()
}

// count says how many pods there are. The lock is held.
func (m *Manager) count() {
	pending := 0
	for _, e := range m.pods {
		if e.proxy == nil {
			pending++
		}
	}
	m.metrics.ActivePods.Set(float64(len(m.pods) - pending))
	m.metrics.PendingPods.Set(float64(pending))
	if pending > 0 {
		m.readiness.Await(TaskPods)
	} else {
		m.readiness.Done(TaskPods)
	}
}
