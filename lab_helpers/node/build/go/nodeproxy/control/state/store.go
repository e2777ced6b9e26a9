package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/policy"
)

// Store holds everything, with the indices that connections are decided by.
type Store struct {
	mu      sync.RWMutex
	changed chan struct{}

	workloads map[string]*Workload
	services  map[string]*Service
	policies  map[string]*policy.Policy

	byIP      map[Address][]string           // uids
	byPod     map[string][]string            // namespace/name: uids
	byVIP     map[Address][]string           // keys of services
	byHost    map[string][]string            // keys of services
	blocks    map[string][]Block             // of a service, by its key
	endpoints map[string]map[string]Endpoint // of a service that may not be there yet, by its key: by uid
}

// New makes an empty store.
func New() *Store {
	return &Store{
		changed: make(chan struct{}), workloads: map[string]*Workload{}, services: map[string]*Service{}, policies: map[string]*policy.Policy{},
		byIP: map[Address][]string{}, byPod: map[string][]string{}, byVIP: map[Address][]string{}, byHost: map[string][]string{},
		blocks: map[string][]Block{}, endpoints: map[string]map[string]Endpoint{},
	}
}

// Changed returns a channel that is closed at the next change. Ask for it before looking.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// notify tells of a change. The lock is held.
func (s *Store) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// ApplyAddresses takes in one message of discovery: what is new or changed, by its name, and the names of what is gone.
// What cannot be understood is left out, and named in the result; what was there under its name stays.
func (s *Store) ApplyAddresses(updates map[string]*workloadapi.Address, removed []string) map[string]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	wrong := map[string]error{}
	for _, name := range removed {
		s.removeWorkload(name)
		s.removeService(name)
	}
	for name, address := range updates {
		switch kind := address.GetType().(type) {
		case *workloadapi.Address_Workload:
			workload, err := parseWorkload(kind.Workload)
			if err != nil {
				wrong[name] = err
				continue
			}
			s.removeWorkload(workload.GetUid())
			s.insertWorkload(workload)
		case *workloadapi.Address_Service:
			service, err := parseService(kind.Service)
			if err != nil {
				wrong[name] = err
				continue
			}
			s.removeService(service.Key())
			s.insertService(service)
		default:
			wrong[name] = fmt.Errorf("neither a workload nor a service")
		}
	}
	return wrong
}

// ApplyPolicies takes in one message of discovery about policies, in the same way.
func (s *Store) ApplyPolicies(updates map[string]*security.Authorization, removed []string) map[string]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	wrong := map[string]error{}
	for _, name := range removed {
		delete(s.policies, name)
	}
	for name, from := range updates {
		parsed, err := policy.Parse(from)
		if err != nil {
			wrong[name] = err
			continue
		}
		s.policies[parsed.Key()] = parsed
	}
	return wrong
}

func add[K comparable](index map[K][]string, key K, name string) {
	list := slices.Clone(index[key])
	at, found := slices.BinarySearch(list, name)
	if !found {
		index[key] = slices.Insert(list, at, name)
	}
}

func drop[K comparable](index map[K][]string, key K, name string) {
	list := slices.Clone(index[key])
	if at, found := slices.BinarySearch(list, name); found {
		list = slices.Delete(list, at, at+1)
	}
	if len(list) == 0 {
		delete(index, key)
		return
	}
	index[key] = list
}

func (s *Store) insertWorkload(w *Workload) {
	uid := w.GetUid()
	s.workloads[uid] = w
	add(s.byPod, w.GetNamespace()+"/"+w.GetName(), uid)
	// Addresses of the node's own are many workloads': whom a connection to one is for cannot be told.
	if w.GetNetworkMode() != workloadapi.NetworkMode_HOST_NETWORK {
		for _, ip := range w.IPs {
			add(s.byIP, Address{w.GetNetwork(), ip}, uid)
		}
	}
	for key, ports := range w.GetServices() {
		if s.endpoints[key] == nil {
			s.endpoints[key] = map[string]Endpoint{}
		}
		s.endpoints[key][uid] = Endpoint{w, ports.GetPorts()}
	}
}

func (s *Store) removeWorkload(uid string) {
	w := s.workloads[uid]
	if w == nil {
		return
	}
	delete(s.workloads, uid)
	drop(s.byPod, w.GetNamespace()+"/"+w.GetName(), uid)
	for _, ip := range w.IPs {
		drop(s.byIP, Address{w.GetNetwork(), ip}, uid)
	}
	for key := range w.GetServices() {
		delete(s.endpoints[key], uid)
		if len(s.endpoints[key]) == 0 {
			delete(s.endpoints, key)
		}
	}
}

func (s *Store) insertService(service *Service) {
	key := service.Key()
	s.services[key] = service
	add(s.byHost, strings.ToLower(service.GetHostname()), key)
	for _, vip := range service.VIPs {
		add(s.byVIP, vip, key)
	}
	if len(service.Blocks) > 0 {
		s.blocks[key] = service.Blocks
	}
}

func (s *Store) removeService(key string) {
	service := s.services[key]
	if service == nil {
		return
	}
	delete(s.services, key)
	delete(s.blocks, key)
	drop(s.byHost, strings.ToLower(service.GetHostname()), key)
	for _, vip := range service.VIPs {
		drop(s.byVIP, vip, key)
	}
}

// AwaitPod waits for the workload of a pod on this node.
//
// A pod is known by its names and not by its address: istio-cni does not send one, and istiod learns of it only later.
func (s *Store) AwaitPod(ctx context.Context, node, namespace, name, account string) (*Workload, error) {
	for {
		changed := s.Changed()
		if w := s.Pod(node, namespace, name, account); w != nil {
			return w, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("istiod has not sent the workload of pod %s/%s: %w", namespace, name, context.Cause(ctx))
		}
	}
}
