// Package dump shows what the proxy knows in the types that istioctl ztunnel-config reads
// (istio.io/istio, istioctl/pkg/writer/ztunnel/configdump/api.go), with ztunnel's words for each value.
package dump

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"
	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/traffic/connections"
)

// camel turns the name of a value, in capitals with underscores, into ztunnel's form.
func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if part != "" {
			b.WriteString(part[:1] + strings.ToLower(part[1:]))
		}
	}
	return b.String()
}

func gateway(from *workloadapi.GatewayAddress) *configdump.GatewayAddress {
	if name := from.GetHostname(); name != nil {
		return &configdump.GatewayAddress{Destination: name.GetNamespace() + "/" + name.GetHostname()}
	}
	if address := from.GetAddress(); address != nil {
		ip, _ := netip.AddrFromSlice(address.GetAddress())
		return &configdump.GatewayAddress{Destination: address.GetNetwork() + "/" + ip.String()}
	}
	return nil
}

// Workload shows a workload.
func Workload(w *state.Workload) *configdump.ZtunnelWorkload {
	protocol := "TCP"
	if w.HBONE() {
		protocol = "HBONE"
	}
	status := "Healthy"
	if !w.Healthy() {
		status = "Unhealthy"
	}
	shown := &configdump.ZtunnelWorkload{
		UID: w.GetUid(), WorkloadIPs: []string{}, Waypoint: gateway(w.GetWaypoint()), NetworkGateway: gateway(w.GetNetworkGateway()),
		Protocol: protocol, Name: w.GetName(), Namespace: w.GetNamespace(), ServiceAccount: w.ID.ServiceAccount,
		WorkloadName: w.GetWorkloadName(), WorkloadType: strings.ToLower(w.GetWorkloadType().String()),
		CanonicalName: w.GetCanonicalName(), CanonicalRevision: w.GetCanonicalRevision(), ClusterID: w.Cluster, TrustDomain: w.ID.TrustDomain,
		Locality: configdump.Locality{
			Region: w.GetLocality().GetRegion(), Zone: w.GetLocality().GetZone(), Subzone: w.GetLocality().GetSubzone(),
		},
		Node: w.GetNode(), Network: w.GetNetwork(), Status: status, Hostname: w.GetHostname(), Capacity: w.Capacity,
		AuthorizationPolicies: w.GetAuthorizationPolicies(),
	}
	for _, ip := range w.IPs {
		shown.WorkloadIPs = append(shown.WorkloadIPs, ip.String())
	}
	if tunnel := w.GetApplicationTunnel(); tunnel != nil {
		port := uint16(tunnel.GetPort())
		shown.ApplicationTunnel = configdump.ApplicationTunnel{Protocol: tunnel.GetProtocol().String(), Port: &port}
	}
	return shown
}

// Service shows a service with its endpoints.
func Service(s *state.Service, endpoints []state.Endpoint) *configdump.ZtunnelService {
	shown := &configdump.ZtunnelService{
		Name: s.GetName(), Namespace: s.GetNamespace(), Hostname: s.GetHostname(), Addresses: []string{}, Ports: map[string]int{},
		Waypoint: gateway(s.GetWaypoint()), Endpoints: map[string]*configdump.ZtunnelEndpoint{}, SubjectAltNames: s.GetSubjectAltNames(),
		IPFamilies: ipFamilies[s.GetIpFamilies()], Canonical: s.GetCanonical(),
	}
	if s.GetVisibility() != workloadapi.Service_PUBLIC {
		shown.Visibility = camel(s.GetVisibility().String())
	}
	for _, vip := range s.VIPs {
		shown.Addresses = append(shown.Addresses, vip.String())
	}
	for _, block := range s.Blocks {
		shown.CIDRVIPs = append(shown.CIDRVIPs, configdump.CIDRVIP{Network: block.Network, CIDR: block.Prefix.String()})
	}
	for _, port := range s.GetPorts() {
		shown.Ports[strconv.Itoa(int(port.GetServicePort()))] = int(port.GetTargetPort())
	}
	if settings := s.GetLoadBalancing(); settings != nil {
		mode := "Standard"
		if settings.GetMode() != workloadapi.LoadBalancing_UNSPECIFIED_MODE {
			mode = camel(settings.GetMode().String())
		}
		shown.LoadBalancer = &configdump.LoadBalancer{Mode: mode, RoutingPreferences: []string{}, HealthPolicy: camel(settings.GetHealthPolicy().String())}
		for _, scope := range settings.GetRoutingPreference() {
			shown.LoadBalancer.RoutingPreferences = append(shown.LoadBalancer.RoutingPreferences, camel(scope.String()))
		}
	}
	for _, e := range endpoints {
		ports := map[uint16]uint16{}
		for _, port := range e.Ports {
			ports[uint16(port.GetServicePort())] = uint16(port.GetTargetPort())
		}
		shown.Endpoints[e.GetUid()] = &configdump.ZtunnelEndpoint{WorkloadUID: e.GetUid(), Service: s.Key(), Port: ports}
	}
	return shown
}

var ipFamilies = map[workloadapi.IPFamilies]string{
	workloadapi.IPFamilies_IPV4_ONLY: "IPv4", workloadapi.IPFamilies_IPV6_ONLY: "IPv6", workloadapi.IPFamilies_DUAL: "Dual",
}

// Certificate shows what is held for an identity.
func Certificate(from certificates.State) *configdump.CertsDump {
	shown := &configdump.CertsDump{Identity: from.ID.String(), State: "Initializing", CertChain: []*configdump.Cert{}, RootCert: []*configdump.Cert{}}
	if from.Failure != nil {
		shown.State = "Unavailable: " + from.Failure.Error()
	}
	if from.Certificate == nil {
		return shown
	}
	shown.State = "Available"
	for _, each := range from.Certificate.Chain {
		shown.CertChain = append(shown.CertChain, certificate(each))
	}
	for _, each := range from.Certificate.Roots {
		shown.RootCert = append(shown.RootCert, certificate(each))
	}
	return shown
}

func certificate(from *x509.Certificate) *configdump.Cert {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: from.Raw})
	return &configdump.Cert{
		Pem: base64.StdEncoding.EncodeToString(text), SerialNumber: from.SerialNumber.String(),
		ValidFrom: from.NotBefore.UTC().Format(time.RFC3339), ExpirationTime: from.NotAfter.UTC().Format(time.RFC3339),
	}
}

// Connections shows a pod's open connections.
func Connections(open []connections.Info) configdump.WorkloadConnections {
	shown := configdump.WorkloadConnections{Inbound: []configdump.InboundConnection{}, Outbound: []configdump.OutboundConnection{}}
	for _, c := range open {
		protocol, host := "TCP", ""
		if c.HBONE {
			protocol = "HBONE"
		}
		if c.Service != nil {
			host = c.Service.GetHostname()
		}
		if c.Inbound {
			shown.Inbound = append(shown.Inbound, configdump.InboundConnection{
				Src: c.Source.String(), OriginalDst: host, ActualDst: c.Original.String(), Protocol: protocol,
			})
			continue
		}
		shown.Outbound = append(shown.Outbound, configdump.OutboundConnection{
			Src: c.Source.String(), OriginalDst: c.Original.String(), ActualDst: c.Actual.String(), Protocol: protocol,
		})
	}
	return shown
}
