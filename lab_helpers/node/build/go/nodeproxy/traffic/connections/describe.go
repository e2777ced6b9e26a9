package connections

import (
	"net/netip"

	"lab/nodeproxy/control/state"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
)

// labels are what the connection is counted under: at its destination if it comes in, at its source if it goes out.
func (c *Connection) labels(flag string) metrics.Labels {
	i := c.info
	labels := metrics.Labels{
		Reporter: "source", Source: peer(i.FromWorkload, i.FromID), Destination: peer(i.ToWorkload, i.ToID), Flags: flag,
		MutualTLS: i.HBONE,
	}
	if i.Inbound {
		labels.Reporter = "destination"
	}
	if i.Service != nil {
		labels.Service = metrics.Service{Host: i.Service.GetHostname(), Name: i.Service.GetName(), Namespace: i.Service.GetNamespace()}
	}
	return labels
}

func peer(w *state.Workload, id string) metrics.Peer {
	if w == nil {
		return metrics.Peer{Principal: id}
	}
	return metrics.Peer{
		Workload: w.GetWorkloadName(), CanonicalService: w.GetCanonicalName(), CanonicalRevision: w.GetCanonicalRevision(),
		Namespace: w.GetNamespace(), Principal: id, Cluster: w.Cluster,
		Region: w.GetLocality().GetRegion(), Zone: w.GetLocality().GetZone(),
	}
}

// attributes are the fields of ztunnel's access log, in its order; what is not known is left out.
func (c *Connection) attributes() []any {
	i := c.info
	var list []any
	add := func(key, value string) {
		if value != "" {
			list = append(list, key, value)
		}
	}
	address := func(key string, value netip.AddrPort) {
		if value.IsValid() {
			list = append(list, key, logging.Bare(value.String()))
		}
	}
	side := func(prefix string, w *state.Workload, id string) {
		if w != nil {
			add(prefix+".workload", w.GetName())
			add(prefix+".namespace", w.GetNamespace())
		}
		add(prefix+".identity", id)
		if w != nil {
			add(prefix+".cluster", w.Cluster)
		}
	}
	address("src.addr", i.Source)
	side("src", i.FromWorkload, i.FromID)
	address("dst.addr", i.Actual)
	if i.Authority != "" {
		list = append(list, "dst.hbone_addr", logging.Bare(i.Authority))
	}
	if i.Service != nil {
		add("dst.service", i.Service.GetHostname())
	}
	side("dst", i.ToWorkload, i.ToID)
	if i.Inbound {
		add("direction", "inbound")
	} else {
		add("direction", "outbound")
	}
	return list
}
