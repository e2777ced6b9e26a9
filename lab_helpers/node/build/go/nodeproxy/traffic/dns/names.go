package dns

import (
	"math/rand/v2"
	"net/netip"
	"strings"

	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/control/state"
)

// found is what is known of a name.
type found struct {
	name      string // the one that it is known by: another than was asked for if a search domain was taken off
	addresses []netip.Addr
}

// candidates returns the names that a question may be about, the likeliest first, without dots at their ends, in lower case.
//
// A resolver asks for what a program wants with each of the pod's search domains behind it; the mesh knows hosts by their full names.
// So the domains are taken off again, and what is left may be a short name of Kubernetes.
func candidates(asked, namespace, domain string) []string {
	name := strings.ToLower(strings.TrimSuffix(asked, "."))
	if name == "" {
		return nil
	}
	list := []string{name}
	add := func(name string) {
		for _, each := range list {
			if each == name {
				return
			}
		}
		list = append(list, name)
	}
	for _, search := range []string{namespace + ".svc." + domain, "svc." + domain, domain} {
		if short, is := strings.CutSuffix(name, "."+search); is && short != "" {
			add(short)
		}
	}
	for _, each := range list {
		switch parts := strings.Split(each, "."); {
		case len(parts) == 1:
			add(each + "." + namespace + ".svc." + domain)
		case len(parts) == 2:
			add(each + ".svc." + domain)
		case len(parts) == 3 && parts[2] == "svc":
			add(each + "." + domain)
		}
	}
	return list
}

// lookup finds the service that a client of the workload asks for.
func lookup(store *state.Store, client *state.Workload, domain, asked string) (found, bool) {
	for _, name := range candidates(asked, client.GetNamespace(), domain) {
		if service := serviceOf(store, name, client.GetNamespace()); service != nil {
			if addresses := addressesOf(store, client, service); len(addresses) > 0 {
				return found{name, addresses}, true
			}
		}
	}
	return found{}, false
}

// serviceOf returns the service of that name, or of the longest wildcard that it fits.
func serviceOf(store *state.Store, name, namespace string) *state.Service {
	if service := store.ServiceNamed(name, namespace); service != nil {
		return service
	}
	for rest := name; ; {
		_, after, more := strings.Cut(rest, ".")
		if !more || after == "" {
			return nil
		}
		if service := store.ServiceNamed("*."+after, namespace); service != nil {
			return service
		}
		rest = after
	}
}

// addressesOf returns the service's own addresses in the client's network; those of its endpoints, in random order, if it has none.
func addressesOf(store *state.Store, client *state.Workload, service *state.Service) []netip.Addr {
	var addresses []netip.Addr
	for _, vip := range service.VIPs {
		if vip.Network == client.GetNetwork() {
			addresses = append(addresses, vip.IP)
		}
	}
	if len(addresses) > 0 {
		return addresses
	}
	all := service.GetLoadBalancing().GetHealthPolicy() == workloadapi.LoadBalancing_ALLOW_ALL
	for _, endpoint := range store.Endpoints(service.Key()) {
		if (endpoint.Healthy() || all) && endpoint.GetNetwork() == client.GetNetwork() {
			addresses = append(addresses, endpoint.IPs...)
		}
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	return addresses
}
