// Package admin serves what is asked of the node proxy itself: the kubelet's readiness probe, Prometheus, and istioctl.
//
// istioctl ztunnel-config reaches the admin port by port forwarding, and uses two addresses only: GET config_dump and POST logging
// (istio.io/istio, istioctl/pkg/ztunnelconfig/ztunnelconfig.go).
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"

	"lab/nodeproxy/observe/logging"
)

// Dump is what config_dump answers with, in istioctl's own types.
type Dump func() configdump.ZtunnelDump

// Handler serves the admin port.
func Handler(dump Dump, levels *logging.Levels, quit func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config_dump", func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.MarshalIndent(complete(dump()), "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(text, '\n'))
	})
	mux.HandleFunc("POST /logging", func(w http.ResponseWriter, r *http.Request) { setLevel(w, r, levels) })
	mux.HandleFunc("POST /quitquitquit", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "shutdown now")
		quit()
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

func setLevel(w http.ResponseWriter, r *http.Request, levels *logging.Levels) {
	query := r.URL.Query()
	var err error
	switch {
	case query.Has("reset"):
		err = levels.Reset()
	case query.Has("level"):
		err = levels.Set(query.Get("level"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "current log level is %s\n", levels)
}

// complete puts an empty list wherever a list is missing: istioctl and Istio's tests take null for a broken proxy.
func complete(d configdump.ZtunnelDump) configdump.ZtunnelDump {
	d.Workloads = list(d.Workloads)
	d.Services = list(d.Services)
	d.Policies = list(d.Policies)
	d.Certificates = list(d.Certificates)
	if d.WorkloadState == nil {
		d.WorkloadState = map[string]configdump.WorkloadState{}
	}
	for uid, state := range d.WorkloadState {
		state.Connections.Inbound = list(state.Connections.Inbound)
		state.Connections.Outbound = list(state.Connections.Outbound)
		d.WorkloadState[uid] = state
	}
	return d
}

func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// Serve answers on the listener until the context ends.
func Serve(ctx context.Context, log *slog.Logger, listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Error("no longer serving", "address", logging.Bare(listener.Addr().String()), "error", err)
	}
}
