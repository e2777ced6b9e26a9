package app

import (
	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"

	"lab/nodeproxy/observe/dump"
	"lab/nodeproxy/pods/enrol"
)

// dump is what istioctl is shown.
func (a *App) dump() configdump.ZtunnelDump {
	d := configdump.ZtunnelDump{WorkloadState: map[string]configdump.WorkloadState{}}
	workloads, services, policies := a.mesh.Store.All()
	for _, w := range workloads {
		d.Workloads = append(d.Workloads, dump.Workload(w))
	}
	for _, s := range services {
		d.Services = append(d.Services, dump.Service(s, a.mesh.Store.Endpoints(s.Key())))
	}
	for _, p := range policies {
		d.Policies = append(d.Policies, dump.Policy(p))
	}
	for _, state := range a.mesh.Certificates.States() {
		d.Certificates = append(d.Certificates, dump.Certificate(state))
	}
	a.pods.Each(func(of enrol.Pod, running enrol.Proxy) {
		state := configdump.WorkloadState{
			State: "Up", Connections: dump.Connections(a.mesh.Connections.Of(of.UID)),
			Info: configdump.WorkloadInfo{Name: of.Name, Namespace: of.Namespace, ServiceAccount: of.ServiceAccount},
		}
		if running == nil {
			state.State = "Pending"
		}
		if w := a.mesh.Store.Pod(a.mesh.Config.NodeName, of.Namespace, of.Name, of.ServiceAccount); w != nil {
			state.Info.TrustDomain = w.ID.TrustDomain
		}
		d.WorkloadState[of.UID] = state
	})
	return d
}
