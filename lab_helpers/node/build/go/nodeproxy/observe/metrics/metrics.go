// Package metrics counts what ztunnel counts, under the same names and labels, so that Istio's dashboards and queries find it.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Component is what istio_build says this program is. It is not ztunnel, and does not say so.
const Component = "ztunnel-stand-in"

// Metrics holds every counter of the proxy.
type Metrics struct {
	registry *prometheus.Registry

	TCP TCP

	XDSTerminations *prometheus.CounterVec // by reason
	XDSMessages     *prometheus.CounterVec // by url
	XDSBytes        *prometheus.CounterVec // by url

	DNSRequests  prometheus.Counter
	DNSUpstream  prometheus.Counter
	DNSFailures  prometheus.Counter
	DNSTruncated prometheus.Counter

	ActivePods  prometheus.Gauge
	PendingPods prometheus.Gauge
	PodsStarted prometheus.Counter
	PodsStopped prometheus.Counter
}

// New makes the counters and registers them; tag is the Istio version that the proxy was built with.
func New(tag string) *Metrics {
	m := &Metrics{
		registry:        prometheus.NewRegistry(),
		TCP:             newTCP(),
		XDSTerminations: vector("istio_xds_connection_terminations_total", "Discovery streams that ended.", "reason"),
		XDSMessages:     vector("istio_xds_message_total", "Discovery messages received.", "url"),
		XDSBytes:        vector("istio_xds_message_bytes_total", "Bytes of discovery messages received.", "url"),
		DNSRequests:     counter("istio_dns_requests_total", "DNS requests."),
		DNSUpstream:     counter("istio_dns_upstream_requests_total", "DNS requests forwarded to an upstream server."),
		DNSFailures:     counter("istio_dns_upstream_failures_total", "DNS requests that no upstream server answered."),
		DNSTruncated:    counter("istio_dns_truncated_total", "DNS answers cut to the size of a datagram."),
		ActivePods:      gauge("workload_manager_active_proxy_count", "Pods that are proxied now."),
		PendingPods:     gauge("workload_manager_pending_proxy_count", "Pods whose listeners could not be opened yet."),
		PodsStarted:     counter("workload_manager_proxies_started_total", "Pods that were enrolled."),
		PodsStopped:     counter("workload_manager_proxies_stopped_total", "Pods that were taken out again."),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "istio_build", Help: "What runs here."}, []string{"component", "tag"})
	build.WithLabelValues(Component, tag).Set(1)
	m.registry.MustRegister(
		build, m.XDSTerminations, m.XDSMessages, m.XDSBytes, m.DNSRequests, m.DNSUpstream, m.DNSFailures, m.DNSTruncated,
		m.ActivePods, m.PendingPods, m.PodsStarted, m.PodsStopped,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.registry.MustRegister(m.TCP.all()...)
	return m
}

// Handler serves the counters on /metrics and, where Istio's own annotations point Prometheus, on /stats/prometheus.
func (m *Metrics) Handler() http.Handler {
	serve := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", serve)
	mux.Handle("GET /stats/prometheus", serve)
	return mux
}

// Gatherer is for tests that read the counters.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func vector(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}
