package inbound

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pires/go-proxyproto"

	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/traffic/hbone"
)

// target is where a stream goes on to.
type target struct {
	address netip.AddrPort
	// header is what the application is told first, for one that asked for it; else nil.
	header func(from netip.AddrPort, peer *identity.Identity) []byte
}

// find returns where a stream for authority goes to. local is the pod's address that the tunnel came to.
//
// That is the pod itself, at the port that was asked for. Anything else would make an open relay of the proxy, but for two cases:
// a pod that is somebody's waypoint, and one that takes tunnelled traffic at a port of its own.
func find(store *state.Store, own *state.Workload, local netip.Addr, authority hbone.Authority) (target, error) {
	port := authority.Port
	switch tunnel := own.GetApplicationTunnel(); {
	case tunnel != nil:
		asked := netip.AddrPortFrom(authority.IP, port)
		if tunnel.GetPort() != 0 {
			port = uint16(tunnel.GetPort())
		}
		found := target{address: netip.AddrPortFrom(local, port)}
		if tunnel.GetProtocol() == workloadapi.ApplicationTunnel_PROXY {
			found.header = func(from netip.AddrPort, peer *identity.Identity) []byte {
				return proxyHeader(from, asked, peer, authority.Host)
			}
		}
		return found, nil
	case authority.Host != "":
		service := store.ServiceNamed(authority.Host, own.GetNamespace())
		if service == nil {
			return target{}, fmt.Errorf("no service is called %s", authority.Host)
		}
		for _, endpoint := range store.Endpoints(service.Key()) {
			if own.GetUid() == endpoint.GetUid() {
				if to, has := endpoint.Target(service, port); has {
					return target{address: netip.AddrPortFrom(local, to)}, nil
				}
			}
		}
		return target{}, fmt.Errorf("this pod does not answer for %s, port %d", authority.Host, port)
	case authority.IP == local || waypointOf(store, own, state.Address{Network: own.GetNetwork(), IP: authority.IP}):
		return target{address: netip.AddrPortFrom(local, port)}, nil
	default:
		return target{}, fmt.Errorf("%v is not this pod, which is %v", authority.IP, local)
	}
}

// waypointOf says whether the workload is the waypoint of what has the address.
func waypointOf(store *state.Store, own *state.Workload, address state.Address) bool {
	var waypoint *workloadapi.GatewayAddress
	if w := store.At(address); w != nil {
		waypoint = w.GetWaypoint()
	} else if service := store.ServiceAt(address, own.GetNamespace()); service != nil {
		waypoint = service.GetWaypoint()
	}
	if name := waypoint.GetHostname(); name != nil {
		_, is := own.GetServices()[state.ServiceKey(name.GetNamespace(), name.GetHostname())]
		return is
	}
	ip, is := netip.AddrFromSlice(waypoint.GetAddress().GetAddress())
	return is && own.Has(ip.Unmap())
}

// The types of what ztunnel adds to the PROXY header (istio.io/istio, pkg/workloadapi/workload.proto, ApplicationTunnel).
const (
	tlvIdentity = 0xD0
	tlvService  = 0xD1
)

// proxyHeader tells an application who calls, and for what (PROXY protocol, version 2).
func proxyHeader(from, asked netip.AddrPort, peer *identity.Identity, host string) []byte {
	header := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(asked))
	var tlvs []proxyproto.TLV
	if peer != nil {
		tlvs = append(tlvs, proxyproto.TLV{Type: tlvIdentity, Value: []byte(peer.String())})
	}
	if host != "" {
		tlvs = append(tlvs, proxyproto.TLV{Type: tlvService, Value: []byte(host)})
	}
	if err := header.SetTLVs(tlvs); err != nil {
		return nil // an identity is never as long as that
	}
	data, err := header.Format()
	if err != nil {
		return nil
	}
	return data
}

// service is what the client asked for, as far as it can be told: what it says, if the workload is one of that service's; else the
// first of the workload's services that leads to the port. It is for the counters only.
func service(store *state.Store, own *state.Workload, port uint16, forwarded string) *state.Service {
	host := forwardedHost(forwarded)
	var keys []string
	for key := range own.GetServices() {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var guess *state.Service
	for _, key := range keys {
		found := store.Service(key)
		if found == nil {
			continue
		}
		if host != "" && strings.EqualFold(found.GetHostname(), host) {
			return found
		}
		if guess == nil && leadsTo(found, own.GetServices()[key].GetPorts(), port) {
			guess = found
		}
	}
	return guess
}

func leadsTo(service *state.Service, own []*workloadapi.Port, port uint16) bool {
	for _, each := range append(slices.Clone(own), service.GetPorts()...) {
		if each.GetTargetPort() == uint32(port) {
			return true
		}
	}
	return false
}

// forwardedHost reads the host out of a Forwarded header (RFC 7239).
func forwardedHost(header string) string {
	for part := range strings.SplitSeq(header, ";") {
		if name, value, found := strings.Cut(strings.TrimSpace(part), "="); found && strings.EqualFold(name, "host") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}
