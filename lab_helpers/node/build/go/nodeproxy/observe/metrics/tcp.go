package metrics

import "github.com/prometheus/client_golang/prometheus"

// Peer is one end of a connection, as far as it is known. What is empty is reported as "unknown".
type Peer struct {
	Workload, CanonicalService, CanonicalRevision, Namespace string
	Principal                                                string // with spiffe://
	Cluster, Region, Zone                                    string
}

// Service is the service that a client asked for, if it asked for one.
type Service struct{ Host, Name, Namespace string }

// The values of response_flags: why a connection failed.
const (
	FlagNone          = "-"
	FlagDenied        = "DENY"
	FlagConnect       = "CONNECT"
	FlagTLS           = "TLS_FAILURE"
	FlagHandshake     = "H2_HANDSHAKE_FAILURE"
	FlagNetworkPolicy = "NETWORK_POLICY"
	FlagIdentity      = "IDENTITY_ERROR"
	FlagRevoked       = "CERT_REVOKED"
)

// Labels are what a connection is counted under.
type Labels struct {
	Reporter            string // source or destination
	Source, Destination Peer
	Service             Service
	Flags               string
	MutualTLS           bool
}

var tcpLabels = []string{
	"reporter",
	"source_workload", "source_canonical_service", "source_canonical_revision", "source_workload_namespace", "source_principal",
	"source_app", "source_version", "source_cluster", "source_region", "source_zone",
	"destination_service", "destination_service_namespace", "destination_service_name",
	"destination_workload", "destination_canonical_service", "destination_canonical_revision", "destination_workload_namespace",
	"destination_principal", "destination_app", "destination_version", "destination_cluster", "destination_region", "destination_zone",
	"request_protocol", "response_flags", "connection_security_policy",
}

func known(value string) string {
	if value == "" {
		return "unknown"
	}
	return value
}

func (p Peer) values() []string {
	return []string{
		known(p.Workload), known(p.CanonicalService), known(p.CanonicalRevision), known(p.Namespace), known(p.Principal),
		known(p.CanonicalService), known(p.CanonicalRevision), known(p.Cluster), known(p.Region), known(p.Zone),
	}
}

func (l Labels) values() []string {
	security := "unknown"
	if l.MutualTLS {
		security = "mutual_tls"
	}
	flags := l.Flags
	if flags == "" {
		flags = FlagNone
	}
	values := append([]string{l.Reporter}, l.Source.values()...)
	values = append(values, known(l.Service.Host), known(l.Service.Namespace), known(l.Service.Name))
	values = append(values, l.Destination.values()...)
	return append(values, "tcp", flags, security)
}

// TCP counts connections and their bytes, once on each side that a proxy of the mesh is at.
type TCP struct {
	opened, closed, failed, sent, received *prometheus.CounterVec
	open                                   *prometheus.GaugeVec
}

func newTCP() TCP {
	return TCP{
		opened:   vector("istio_tcp_connections_opened_total", "TCP connections opened.", tcpLabels...),
		closed:   vector("istio_tcp_connections_closed_total", "TCP connections closed.", tcpLabels...),
		failed:   vector("istio_tcp_connections_failed_total", "TCP connections that could not be opened.", tcpLabels...),
		sent:     vector("istio_tcp_sent_bytes_total", "Bytes sent to the client.", tcpLabels...),
		received: vector("istio_tcp_received_bytes_total", "Bytes received from the client.", tcpLabels...),
		open: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{Name: "istio_tcp_sockets_open", Help: "Connections that are open now."}, []string{"reporter"}),
	}
}

func (t TCP) all() []prometheus.Collector {
	return []prometheus.Collector{t.opened, t.closed, t.failed, t.sent, t.received, t.open}
}

// Connection is one open connection's counters.
type Connection struct {
	// Sent counts the bytes that the destination sent to the source, Received those the other way: ztunnel's point of view.
	Sent, Received prometheus.Counter

	closed prometheus.Counter
	open   prometheus.Gauge
}

// Open counts a connection that was opened. Close has to be called in the end.
func (t TCP) Open(labels Labels) *Connection {
	values := labels.values()
	t.opened.WithLabelValues(values...).Inc()
	open := t.open.WithLabelValues(labels.Reporter)
	open.Inc()
	return &Connection{
		Sent: t.sent.WithLabelValues(values...), Received: t.received.WithLabelValues(values...),
		closed: t.closed.WithLabelValues(values...), open: open,
	}
}

// Close counts the end of the connection.
func (c *Connection) Close() {
	c.closed.Inc()
	c.open.Dec()
}

// Fail counts a connection that never came to be.
func (t TCP) Fail(labels Labels) { t.failed.WithLabelValues(labels.values()...).Inc() }
