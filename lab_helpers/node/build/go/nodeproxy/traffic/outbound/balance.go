package outbound

import (
	"fmt"

	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/control/state"
)

// balance draws one of a service's endpoints for a port, by capacity, and returns the endpoint's own port.
func (r Router) balance(source *state.Workload, service *state.Service, port uint16) (state.Endpoint, uint16, error) {
	settings := service.GetLoadBalancing()
	var candidates []state.Endpoint
	var total uint64
	best := 0
	for _, endpoint := range r.Store.Endpoints(service.Key()) {
		if !endpoint.Healthy() && settings.GetHealthPolicy() != workloadapi.LoadBalancing_ALLOW_ALL {
			continue
		}
		if _, has := endpoint.Target(service, port); !has || endpoint.Capacity == 0 {
			continue
		}
		rank, all := shared(source, endpoint.Workload, settings.GetRoutingPreference())
		switch settings.GetMode() {
		case workloadapi.LoadBalancing_STRICT:
			if !all {
				continue
			}
		case workloadapi.LoadBalancing_FAILOVER:
			if rank < best {
				continue
			}
			if rank > best {
				best, candidates, total = rank, nil, 0
			}
		}
		candidates = append(candidates, endpoint)
		total += uint64(endpoint.Capacity)
	}
	if len(candidates) == 0 {
		return state.Endpoint{}, 0, fmt.Errorf("service %s has no healthy endpoint for port %d", service.Key(), port)
	}
	drawn := r.random(total)
	for _, endpoint := range candidates {
		if drawn < uint64(endpoint.Capacity) {
			target, _ := endpoint.Target(service, port)
			return endpoint, target, nil
		}
		drawn -= uint64(endpoint.Capacity)
	}
	panic("a number at or above the sum of all capacities was drawn")
}

// shared returns how many of the scopes, from the first on, two workloads have in common, and whether they all are.
func shared(a, b *state.Workload, scopes []workloadapi.LoadBalancing_Scope) (int, bool) {
	for at, scope := range scopes {
		var same bool
		switch scope {
		case workloadapi.LoadBalancing_REGION:
			same = a.GetLocality().GetRegion() == b.GetLocality().GetRegion()
		case workloadapi.LoadBalancing_ZONE:
			same = a.GetLocality().GetZone() == b.GetLocality().GetZone()
		case workloadapi.LoadBalancing_SUBZONE:
			same = a.GetLocality().GetSubzone() == b.GetLocality().GetSubzone()
		case workloadapi.LoadBalancing_NODE:
			same = a.GetNode() == b.GetNode()
		case workloadapi.LoadBalancing_CLUSTER:
			same = a.Cluster == b.Cluster
		case workloadapi.LoadBalancing_NETWORK:
			same = a.GetNetwork() == b.GetNetwork()
		}
		if !same {
			return at, false
		}
	}
	return len(scopes), true
}
