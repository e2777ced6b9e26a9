// Package state is what the node proxy knows of the mesh: workloads, services and policies, as istiod has sent them.
//
// What is in the store is never changed, only replaced, so whoever has got something out of it may keep it.
package state

import (
	"fmt"
	"net/netip"

	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/control/identity"
)

// Address is an address within a network: the same address may be somebody else's in another one.
type Address struct {
	Network string
	IP      netip.Addr
}

// String is in the form that ztunnel's dump has.
func (a Address) String() string { return a.Network + "/" + a.IP.String() }

// Block is a range of addresses that a service answers for.
type Block struct {
	Network string
	Prefix  netip.Prefix
}

// Workload is a pod, or what else can be called. What istiod leaves out has its default.
type Workload struct {
	*workloadapi.Workload
	IPs      []netip.Addr
	ID       identity.Identity
	Cluster  string
	Capacity uint32
}

// HBONE says whether the workload is reached by tunnel.
func (w *Workload) HBONE() bool { return w.GetTunnelProtocol() == workloadapi.TunnelProtocol_HBONE }

// Healthy says whether the workload wants traffic.
func (w *Workload) Healthy() bool { return w.GetStatus() == workloadapi.WorkloadStatus_HEALTHY }

// Has says whether an address is the workload's.
func (w *Workload) Has(ip netip.Addr) bool {
	for _, own := range w.IPs {
		if own == ip {
			return true
		}
	}
	return false
}

// Service is a name that several workloads may answer for.
type Service struct {
	*workloadapi.Service
	VIPs   []Address
	Blocks []Block
}

// Key is the service's name in discovery: namespace/hostname.
func (s *Service) Key() string { return ServiceKey(s.GetNamespace(), s.GetHostname()) }

// ServiceKey is the name of a service in discovery.
func ServiceKey(namespace, hostname string) string { return namespace + "/" + hostname }

// VisibleFrom says whether clients of a namespace may know of the service.
func (s *Service) VisibleFrom(namespace string) bool {
	return s.GetVisibility() != workloadapi.Service_NAMESPACE || s.GetNamespace() == namespace
}

// Port returns the service's own port of that number.
func (s *Service) Port(port uint16) *workloadapi.Port { return portOf(s.GetPorts(), port) }

func portOf(ports []*workloadapi.Port, port uint16) *workloadapi.Port {
	for _, each := range ports {
		if each.GetServicePort() == uint32(port) {
			return each
		}
	}
	return nil
}

// Endpoint is a workload as one of a service's.
type Endpoint struct {
	*Workload
	Ports []*workloadapi.Port // the workload's own, which go before the service's
}

// Target returns the workload's port for a port of the service; false if it has none.
//
// A target port of zero is a named port, which only the workload's own list can resolve.
func (e Endpoint) Target(service *Service, port uint16) (uint16, bool) {
	own := portOf(e.Ports, port)
	if own == nil {
		own = service.Port(port)
	}
	if own == nil || own.GetTargetPort() == 0 || own.GetTargetPort() > 65535 {
		return 0, false
	}
	return uint16(own.GetTargetPort()), true
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// parseWorkload fills in what istiod leaves out (istio.io/istio, pkg/workloadapi/workload.proto has the defaults).
func parseWorkload(from *workloadapi.Workload) (*Workload, error) {
	if from.GetUid() == "" {
		return nil, fmt.Errorf("a workload without uid")
	}
	w := &Workload{
		Workload: from,
		ID: identity.Identity{
			TrustDomain:    or(from.GetTrustDomain(), "cluster.local"),
			Namespace:      from.GetNamespace(),
			ServiceAccount: or(from.GetServiceAccount(), "default"),
		},
		Cluster:  or(from.GetClusterId(), "Kubernetes"),
		Capacity: 1,
	}
	if from.GetCapacity() != nil {
		w.Capacity = from.GetCapacity().GetValue()
	}
	for _, bytes := range from.GetAddresses() {
		ip, err := parseIP(bytes)
		if err != nil {
			return nil, fmt.Errorf("workload %s: %w", from.GetUid(), err)
		}
		w.IPs = append(w.IPs, ip)
	}
	for key, ports := range from.GetServices() {
		if err := checkPorts(ports.GetPorts()); err != nil {
			return nil, fmt.Errorf("workload %s, service %s: %w", from.GetUid(), key, err)
		}
	}
	return w, nil
}

func parseService(from *workloadapi.Service) (*Service, error) {
	if from.GetHostname() == "" {
		return nil, fmt.Errorf("a service without hostname")
	}
	s := &Service{Service: from}
	for _, address := range from.GetAddresses() {
		ip, err := parseIP(address.GetAddress())
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Key(), err)
		}
		if address.Length == nil || int(address.GetLength()) == ip.BitLen() {
			s.VIPs = append(s.VIPs, Address{address.GetNetwork(), ip})
			continue
		}
		prefix, err := ip.Prefix(int(min(address.GetLength(), 1<<10)))
		if err != nil {
			return nil, fmt.Errorf("service %s: %v has no prefix of %d bits", s.Key(), ip, address.GetLength())
		}
		s.Blocks = append(s.Blocks, Block{address.GetNetwork(), prefix})
	}
	if err := checkPorts(from.GetPorts()); err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Key(), err)
	}
	return s, nil
}

func checkPorts(ports []*workloadapi.Port) error {
	for _, port := range ports {
		if port.GetServicePort() > 65535 || port.GetTargetPort() > 65535 {
			return fmt.Errorf("there is no port %d, or no port %d", port.GetServicePort(), port.GetTargetPort())
		}
	}
	return nil
}

func parseIP(bytes []byte) (netip.Addr, error) {
	ip, is := netip.AddrFromSlice(bytes)
	if !is {
		return ip, fmt.Errorf("an address of %d bytes", len(bytes))
	}
	return ip.Unmap(), nil
}
