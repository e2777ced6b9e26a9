// Package outbound takes what a pod sends, on port 15001: it decides where each connection goes, and takes it there, by tunnel wherever
// the other end is in the mesh.
package outbound

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/config"
	"lab/nodeproxy/control/state"
)

// Route is where a connection goes.
type Route struct {
	Tunnel    bool
	Target    netip.AddrPort // what is dialled; its address is invalid if Hostname has to be resolved first
	Hostname  string
	Authority netip.AddrPort // what the tunnel is asked for
	Names     []string       // SPIFFE IDs: who may be at the other end of the tunnel
	To        *state.Workload
	Service   *state.Service // that the client asked for
}

// random returns a number below n.
type random func(n uint64) uint64

// Router decides.
type Router struct {
	Store  *state.Store
	Random random // nil: rand.Uint64N
}

func (r Router) random(n uint64) uint64 {
	if r.Random != nil {
		return r.Random(n)
	}
	return rand.Uint64N(n)
}

// Decide returns where a connection of the source's goes that was going to an address.
//
// It is ztunnel's order: a workload with the address, else a service; a service's waypoint, else one of its endpoints; what nobody
// knows goes on as it was. An error means that the connection must not be: a service without endpoints, or a waypoint that is not
// to be found, is never gone around.
func (r Router) Decide(source *state.Workload, to netip.AddrPort) (Route, error) {
	address := state.Address{Network: source.GetNetwork(), IP: to.Addr()}
	workload := r.Store.At(address)
	var service *state.Service
	if workload == nil {
		service = r.Store.ServiceAt(address, source.GetNamespace())
	}
	if service != nil {
		if gateway := r.waypoint(service); gateway != nil {
			return r.viaWaypoint(source, gateway, to, service)
		}
		if service.GetLoadBalancing().GetMode() == workloadapi.LoadBalancing_PASSTHROUGH {
			return Route{Target: to, Service: service}, nil
		}
		endpoint, port, err := r.balance(source, service, to.Port())
		if err != nil {
			return Route{Service: service}, err
		}
		return r.direct(source, endpoint.Workload, port, to, service)
	}
	if workload == nil {
		return Route{Target: to}, nil
	}
	if gateway := workload.GetWaypoint(); gateway != nil && !r.isWaypoint(source, gateway) {
		return r.viaWaypoint(source, gateway, to, nil)
	}
	return r.direct(source, workload, to.Port(), to, nil)
}

// direct goes to a workload itself: by tunnel if it has one.
func (r Router) direct(source, w *state.Workload, port uint16, asked netip.AddrPort, service *state.Service) (Route, error) {
	route := Route{To: w, Service: service}
	if w.GetNetwork() != source.GetNetwork() {
		return route, fmt.Errorf("%s is in network %q, which this proxy has no way to", w.GetUid(), w.GetNetwork())
	}
	ip, has := addressOf(w, asked.Addr())
	if !has {
		if w.GetHostname() == "" {
			return route, fmt.Errorf("%s has no address", w.GetUid())
		}
		route.Hostname, route.Target = w.GetHostname(), netip.AddrPortFrom(netip.Addr{}, port)
		return route, nil
	}
	route.Target = netip.AddrPortFrom(ip, port)
	if w.HBONE() {
		route.Tunnel, route.Authority = true, route.Target
		route.Target = netip.AddrPortFrom(ip, config.InboundHBONEPort)
		route.Names = names(w, service)
	}
	return route, nil
}

// names are who may answer for a workload: itself, and what its service says.
func names(w *state.Workload, service *state.Service) []string {
	list := []string{w.ID.String()}
	if service != nil {
		list = append(list, service.GetSubjectAltNames()...)
	}
	return list
}

// addressOf returns the workload's address that was asked for, else its first of the same family, else its first.
func addressOf(w *state.Workload, asked netip.Addr) (netip.Addr, bool) {
	if w.Has(asked) {
		return asked, true
	}
	for _, ip := range w.IPs {
		if ip.Is4() == asked.Is4() {
			return ip, true
		}
	}
	if len(w.IPs) == 0 {
		return netip.Addr{}, false
	}
	return w.IPs[0], true
}

// waypoint returns the service's waypoint, drawn by weight if it has several, or nil.
func (r Router) waypoint(service *state.Service) *workloadapi.GatewayAddress {
	var sum uint64
	for _, each := range service.GetWeightedWaypoints() {
		sum += uint64(each.GetWeight())
	}
	if sum == 0 {
		return service.GetWaypoint()
	}
	drawn := r.random(sum)
	for _, each := range service.GetWeightedWaypoints() {
		if drawn < uint64(each.GetWeight()) {
			return each.GetDestination()
		}
		drawn -= uint64(each.GetWeight())
	}
	return service.GetWaypoint()
}

// viaWaypoint goes through a waypoint, and asks it for what the client asked for.
func (r Router) viaWaypoint(source *state.Workload, gateway *workloadapi.GatewayAddress, to netip.AddrPort, service *state.Service) (Route, error) {
	port := uint16(gateway.GetHboneMtlsPort())
	if port == 0 {
		port = config.InboundHBONEPort
	}
	workload, of, err := r.gateway(source, gateway)
	if err == nil && of != nil {
		var endpoint state.Endpoint
		if endpoint, port, err = r.balance(source, of, port); err == nil {
			workload = endpoint.Workload
		}
	}
	if err != nil {
		return Route{Service: service}, fmt.Errorf("the waypoint: %w", err)
	}
	ip, has := addressOf(workload, to.Addr())
	if !has || workload.GetNetwork() != source.GetNetwork() {
		return Route{Service: service}, fmt.Errorf("the waypoint %s cannot be reached from network %q", workload.GetUid(), source.GetNetwork())
	}
	return Route{
		Tunnel: true, Target: netip.AddrPortFrom(ip, port), Authority: to, Names: names(workload, of), To: workload, Service: service,
	}, nil
}

// gateway returns the workload or the service that a gateway's address stands for.
func (r Router) gateway(source *state.Workload, gateway *workloadapi.GatewayAddress) (*state.Workload, *state.Service, error) {
	if name := gateway.GetHostname(); name != nil {
		key := state.ServiceKey(name.GetNamespace(), name.GetHostname())
		if service := r.Store.Service(key); service != nil {
			return nil, service, nil
		}
		return nil, nil, fmt.Errorf("no service %s is known", key)
	}
	ip, is := netip.AddrFromSlice(gateway.GetAddress().GetAddress())
	if !is {
		return nil, nil, fmt.Errorf("it has neither name nor address")
	}
	address := state.Address{Network: gateway.GetAddress().GetNetwork(), IP: ip.Unmap()}
	if w := r.Store.At(address); w != nil {
		return w, nil, nil
	}
	if service := r.Store.ServiceAt(address, source.GetNamespace()); service != nil {
		return nil, service, nil
	}
	return nil, nil, fmt.Errorf("nothing is known at %v", address)
}

// isWaypoint says whether the source is one of the gateway's own pods: it has the identity and the address of one.
func (r Router) isWaypoint(source *state.Workload, gateway *workloadapi.GatewayAddress) bool {
	workload, service, err := r.gateway(source, gateway)
	if err != nil {
		return false
	}
	if service == nil {
		return same(source, workload)
	}
	for _, endpoint := range r.Store.Endpoints(service.Key()) {
		if same(source, endpoint.Workload) {
			return true
		}
	}
	return false
}

func same(a, b *state.Workload) bool {
	return a.ID == b.ID && len(a.IPs) > 0 && b.Has(a.IPs[0])
}
