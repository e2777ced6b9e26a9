package hbone

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"istio.io/istio/pkg/workloadapi"

	"lab/nodeproxy/control/state"
)

// Headers are what ztunnel tells of the client beside the authority: who it is, as W3C baggage, where it is (RFC 7239), and a trace's
// context. Nothing is decided by them.
func Headers(source *state.Workload, from netip.AddrPort, service string) http.Header {
	forwarded := `for="` + from.String() + `"`
	if service != "" {
		forwarded += ";host=" + service
	}
	return http.Header{
		"Baggage":     {Baggage(source)},
		"Forwarded":   {forwarded},
		"Traceparent": {traceparent()},
		"User-Agent":  {""}, // else it says that it is a Go program
	}
}

// Baggage is what a workload says of itself.
func Baggage(w *state.Workload) string {
	kind := strings.ToLower(workloadapi.WorkloadType_name[int32(w.GetWorkloadType())])
	var items []string
	for _, item := range [][2]string{
		{"k8s.cluster.name", w.Cluster},
		{"k8s.namespace.name", w.GetNamespace()},
		{"k8s." + kind + ".name", w.GetWorkloadName()},
		{"service.name", w.GetCanonicalName()},
		{"service.version", w.GetCanonicalRevision()},
		{"cloud.region", w.GetLocality().GetRegion()},
		{"cloud.availability_zone", w.GetLocality().GetZone()},
	} {
		if item[1] != "" {
			items = append(items, item[0]+"="+url.PathEscape(item[1]))
		}
	}
	return strings.Join(items, ",")
}

// traceparent begins a trace (W3C Trace Context, version 00), not sampled: nobody here records it.
func traceparent() string {
	var random [24]byte
	_, _ = rand.Read(random[:])
	return "00-" + hex.EncodeToString(random[:16]) + "-" + hex.EncodeToString(random[16:]) + "-00"
}
