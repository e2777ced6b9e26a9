package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"

	"lab/nodeproxy/observe/logging"
)

func ask(handler http.Handler, method, path string) (int, string) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	r := NewReadiness("xds", "cni")
	if code, body := ask(r, "GET", "/healthz/ready"); code != 500 || !strings.Contains(body, "cni, xds") {
		t.Errorf("%d %q", code, body)
	}
	r.Done("xds")
	_, changed := r.Pending()
	go r.Done("cni")
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Fatal("no change was told of within 5 s")
	}
	if code, body := ask(r, "GET", "/healthz/ready"); code != 200 {
		t.Errorf("%d %q", code, body)
	}
	r.Await("cni")
	if code, _ := ask(r, "GET", "/healthz/ready"); code != 500 {
		t.Errorf("ready without istio-cni: %d", code)
	}
}

func handler(t *testing.T) http.Handler {
	t.Helper()
	levels, err := logging.NewLevels("info")
	if err != nil {
		t.Fatal(err)
	}
	dump := func() configdump.ZtunnelDump {
		return configdump.ZtunnelDump{WorkloadState: map[string]configdump.WorkloadState{"uid": {State: "Up"}}}
	}
	return Handler(dump, levels, func() {})
}

func TestAnEmptyDumpHoldsNoNull(t *testing.T) {
	code, body := ask(handler(t), "GET", "/config_dump")
	if code != 200 || strings.Contains(body, "null") {
		t.Errorf("%d %s", code, body)
	}
	for _, key := range []string{"workloads", "services", "policies", "certificates", "workloadState", "inbound", "outbound"} {
		if !strings.Contains(body, `"`+key+`"`) {
			t.Errorf("%s is missing in %s", key, body)
		}
	}
}

func TestLogging(t *testing.T) {
	h := handler(t)
	for _, test := range []struct {
		path, answer string
		code         int
	}{
		{"/logging", "info", 200},
		{"/logging?level=debug,access=off", "debug,access=off", 200},
		{"/logging?level=loud", "not a log level", 400},
		{"/logging", "debug,access=off", 200},
		{"/logging?reset", "info", 200},
	} {
		if code, body := ask(h, "POST", test.path); code != test.code || !strings.Contains(body, test.answer) {
			t.Errorf("%s: %d %q", test.path, code, body)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(ctx, logging.Discard(), listener, NewReadiness())
	}()
	response, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); string(body) != "ready\n" {
		t.Errorf("answer is %q", body)
	}
	_ = response.Body.Close()
	cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("still serving 5 s after its context ended")
	}
}
