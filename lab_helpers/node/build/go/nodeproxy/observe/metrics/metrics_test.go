package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func scrape(t *testing.T, m *Metrics, path string) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
	if recorder.Code != 200 {
		t.Fatalf("%s answers %d", path, recorder.Code)
	}
	return recorder.Body.String()
}

func TestConnectionsUnderIstiosNames(t *testing.T) {
	m := New("1.31.0")
	labels := Labels{
		Reporter:    "destination",
		Source:      Peer{Workload: "sleep", CanonicalService: "sleep", CanonicalRevision: "v1", Namespace: "a", Principal: "spiffe://td/ns/a/sa/s"},
		Destination: Peer{Workload: "httpbin", Namespace: "b"},
		Service:     Service{Host: "httpbin.b.svc.cluster.local", Name: "httpbin", Namespace: "b"},
		MutualTLS:   true,
	}
	connection := m.TCP.Open(labels)
	connection.Sent.Add(7)
	connection.Received.Add(5)
	connection.Close()
	labels.Flags = FlagDenied
	m.TCP.Fail(labels)
	for _, path := range []string{"/metrics", "/stats/prometheus"} {
		text := scrape(t, m, path)
		for _, want := range []string{
			`istio_build{component="ztunnel-stand-in",tag="1.31.0"} 1`,
			`istio_tcp_sockets_open{reporter="destination"} 0`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", path, want)
			}
		}
		for _, line := range strings.Split(text, "\n") {
			if !strings.HasPrefix(line, "istio_tcp_") || strings.HasPrefix(line, "istio_tcp_sockets_open") {
				continue
			}
			for _, want := range []string{
				`source_principal="spiffe://td/ns/a/sa/s"`, `source_app="sleep"`, `source_version="v1"`, `destination_principal="unknown"`,
				`destination_service_name="httpbin"`, `request_protocol="tcp"`, `connection_security_policy="mutual_tls"`,
			} {
				if !strings.Contains(line, want) {
					t.Errorf("%s lacks %s", line, want)
				}
			}
			name, _, _ := strings.Cut(line, "{")
			value := line[strings.LastIndex(line, " ")+1:]
			wanted := map[string]string{
				"istio_tcp_connections_opened_total": "1", "istio_tcp_connections_closed_total": "1", "istio_tcp_connections_failed_total": "1",
				"istio_tcp_sent_bytes_total": "7", "istio_tcp_received_bytes_total": "5",
			}[name]
			if value != wanted {
				t.Errorf("%s is %s, want %s", name, value, wanted)
			}
			if flags := map[bool]string{true: `response_flags="DENY"`, false: `response_flags="-"`}[strings.Contains(name, "failed")]; !strings.Contains(line, flags) {
				t.Errorf("%s lacks %s", line, flags)
			}
		}
	}
}
