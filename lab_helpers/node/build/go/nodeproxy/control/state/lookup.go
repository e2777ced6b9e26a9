package state

import (
	"slices"
	"strings"

	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/policy"
)

// Workload returns the workload with the uid, or nil.
func (s *Store) Workload(uid string) *Workload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.workloads[uid]
}

// Pod returns the workload of a pod of that name and account on the node, or nil.
func (s *Store) Pod(node, namespace, name, account string) *Workload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, uid := range s.byPod[namespace+"/"+name] {
		w := s.workloads[uid]
		if (node == "" || w.GetNode() == node) && w.ID.ServiceAccount == or(account, "default") {
			return w
		}
	}
	return nil
}

// At returns the workload with the address, or nil. Of several that share it a pod goes before anything else, and what is reached by
// tunnel before what is not.
func (s *Store) At(address Address) *Workload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var best *Workload
	bestRank := -1
	for _, uid := range s.byIP[address] {
		w, rank := s.workloads[uid], 0
		if strings.Contains(uid, "//Pod/") {
			rank += 2
		}
		if w.HBONE() {
			rank++
		}
		if rank > bestRank {
			best, bestRank = w, rank
		}
	}
	return best
}

// ServiceAt returns the service that answers at an address for clients of a namespace, or nil: the client's own namespace's, else
// the canonical one, else the first; a whole range of addresses counts only where no service has the very address.
func (s *Store) ServiceAt(address Address, client string) *Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if found := s.best(s.byVIP[address], client); found != nil {
		return found
	}
	longest := -1
	var keys []string
	for key, blocks := range s.blocks {
		for _, block := range blocks {
			if block.Network != address.Network || !block.Prefix.Contains(address.IP) || block.Prefix.Bits() < longest {
				continue
			}
			if !s.services[key].VisibleFrom(client) {
				continue
			}
			if block.Prefix.Bits() > longest {
				longest, keys = block.Prefix.Bits(), nil
			}
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return s.best(keys, client)
}

// ServiceNamed returns the service of that hostname for clients of a namespace, by the same preference, or nil.
func (s *Store) ServiceNamed(hostname, client string) *Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.best(s.byHost[strings.ToLower(hostname)], client)
}

// Service returns the service of that key, or nil.
func (s *Store) Service(key string) *Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.services[key]
}

// best chooses between services of one name or address. The lock is held.
func (s *Store) best(keys []string, client string) *Service {
	var best *Service
	bestRank := -1
	for _, key := range keys {
		service, rank := s.services[key], 0
		if !service.VisibleFrom(client) {
			continue
		}
		if service.GetCanonical() {
			rank = 1
		}
		if service.GetNamespace() == client {
			rank = 2
		}
		if rank > bestRank {
			best, bestRank = service, rank
		}
	}
	return best
}

// Endpoints returns the workloads of a service, by uid, so that the order is always the same.
func (s *Store) Endpoints(key string) []Endpoint {
	s.mu.RLock()
	defer s.mu.RUnlock()
	endpoints := make([]Endpoint, 0, len(s.endpoints[key]))
	for _, endpoint := range s.endpoints[key] {
		endpoints = append(endpoints, endpoint)
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int { return strings.Compare(a.GetUid(), b.GetUid()) })
	return endpoints
}

// Authorize decides whether a connection to the workload may be, by the policies that apply now: those of the whole mesh, those of the
// workload's namespace, and those that the workload names. A name that is not known is passed over, and returned.
func (s *Store) Authorize(w *Workload, r policy.Request) (policy.Verdict, []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if current := s.workloads[w.GetUid()]; current != nil {
		w = current // it may name other policies by now
	}
	var apply []*policy.Policy
	for _, p := range s.policies {
		if p.Scope == security.Scope_GLOBAL || p.Scope == security.Scope_NAMESPACE && p.Namespace == w.GetNamespace() {
			apply = append(apply, p)
		}
	}
	var unknown []string
	for _, key := range w.GetAuthorizationPolicies() {
		if p := s.policies[key]; p == nil {
			unknown = append(unknown, key)
		} else if !slices.Contains(apply, p) {
			apply = append(apply, p)
		}
	}
	slices.SortFunc(apply, func(a, b *policy.Policy) int { return strings.Compare(a.Key(), b.Key()) })
	return policy.Decide(apply, r), unknown
}

// All returns everything, sorted by name, for the dump.
func (s *Store) All() ([]*Workload, []*Service, []*policy.Policy) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sorted(s.workloads), sorted(s.services), sorted(s.policies)
}

func sorted[T any](from map[string]T) []T {
	keys := make([]string, 0, len(from))
	for key := range from {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	list := make([]T, len(keys))
	for i, key := range keys {
		list[i] = from[key]
	}
	return list
}
