// Package config reads the node proxy's settings from the environment that Istio's ztunnel chart sets
// (istio.io/istio, manifests/charts/ztunnel/templates/daemonset.yaml).
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The ports that Istio's ambient mode gives to the node proxy. The first four are held inside each pod's network namespace,
// the others in the proxy's own. istio-cni's rules name the first, second and fourth of them
// (istio.io/istio, cni/pkg/iptables/testdata/default.golden).
const (
	OutboundPort         = 15001
	InboundPlaintextPort = 15006
	InboundHBONEPort     = 15008
	DNSPort              = 15053

	AdminPort     = 15000
	MetricsPort   = 15020
	ReadinessPort = 15021
)

// DefaultPacketMark is on every socket that the proxy makes in a pod: istio-cni's rules let what carries it pass
// (InpodMark in istio.io/istio, cni/pkg/config/config.go).
const DefaultPacketMark = 1337

// The mount points of the ztunnel chart.
const (
	defaultRoot   = "/var/run/secrets/istio/root-cert.pem"
	defaultToken  = "/var/run/secrets/tokens/istio-token"
	defaultSocket = "/var/run/ztunnel/ztunnel.sock"
)

// Config is everything that the node proxy is told from outside. It never changes while the program runs.
type Config struct {
	XDSAddress string // host:port of istiod's discovery service
	CAAddress  string // host:port of istiod's certificate authority
	RootCert   string // file: what istiod's own certificate is checked against
	Token      string // file: the service account token, rotated by the kubelet
	CRL        string // file: certificates that were revoked; empty for none

	PodName        string
	PodNamespace   string
	ServiceAccount string
	NodeName       string
	InstanceIP     string
	Network        string
	ClusterID      string
	ClusterDomain  string
	TrustDomain    string            // empty: as each workload says
	Metadata       map[string]string // ISTIO_META_*, without the prefix

	ZDSSocket  string
	PacketMark int
	IPv6       bool
	ReusePort  bool
	DNS        bool // whether it is redirected is istio-cni's to say; ISTIO_META_DNS_CAPTURE is about sidecars

	SecretTTL time.Duration // validity asked of the certificate authority
	Drain     time.Duration // how long open connections may live on after SIGTERM

	LogLevel string // as in RUST_LOG: a level, or "level,scope=level"
	LogJSON  bool
}

// FromEnvironment reads the settings out of environ, which is in the form of os.Environ.
//
// What is missing takes ztunnel's default. Every value that cannot be read is named in the error, not only the first.
func FromEnvironment(environ []string) (Config, error) {
	env := reader{values: map[string]string{}}
	metadata := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env.values[name] = value
		if key, found := strings.CutPrefix(name, "ISTIO_META_"); found {
			metadata[key] = value
		}
	}
	cluster := env.text("CLUSTER_ID", env.text("ISTIO_META_CLUSTER_ID", "Kubernetes"))
	metadata["CLUSTER_ID"] = cluster
	xds := env.address("XDS_ADDRESS", "istiod.istio-system.svc:15012")
	grace := env.seconds("TERMINATION_GRACE_PERIOD_SECONDS", 0)
	c := Config{
		XDSAddress:     xds,
		CAAddress:      env.address("CA_ADDRESS", xds),
		RootCert:       env.text("XDS_ROOT_CA", defaultRoot),
		Token:          env.text("AUTH_TOKEN", defaultToken),
		CRL:            env.text("CRL_PATH", ""),
		PodName:        env.text("POD_NAME", ""),
		PodNamespace:   env.text("POD_NAMESPACE", ""),
		ServiceAccount: env.text("SERVICE_ACCOUNT", ""),
		NodeName:       env.text("NODE_NAME", ""),
		InstanceIP:     env.ip("INSTANCE_IP"),
		Network:        env.text("NETWORK", ""),
		ClusterID:      cluster,
		ClusterDomain:  env.text("CLUSTER_DOMAIN", "cluster.local"),
		TrustDomain:    env.text("TRUST_DOMAIN", ""),
		Metadata:       metadata,
		ZDSSocket:      env.text("INPOD_UDS", defaultSocket),
		PacketMark:     env.number("PACKET_MARK", DefaultPacketMark),
		IPv6:           env.boolean("IPV6_ENABLED", true),
		ReusePort:      env.boolean("INPOD_PORT_REUSE", true),
		DNS:            env.boolean("DNS_PROXY_ENABLED", true),
		SecretTTL:      env.duration("SECRET_TTL", 24*time.Hour),
		Drain:          env.duration("CONNECTION_TERMINATION_DEADLINE", drain(grace)),
		LogLevel:       env.text("RUST_LOG", "info"),
		LogJSON:        env.text("LOG_FORMAT", "") == "json",
	}
	return c, errors.Join(env.wrong...)
}

// drain leaves the kubelet's grace period some seconds for what comes after the connections are closed, as ztunnel does.
func drain(grace time.Duration) time.Duration {
	switch {
	case grace <= 0:
		return 5 * time.Second
	case grace <= 10*time.Second:
		return max(grace-time.Second, time.Second)
	default:
		return grace - 5*time.Second
	}
}

// reader takes typed values out of the environment and gathers what is wrong with them.
type reader struct {
	values map[string]string
	wrong  []error
}

func (r *reader) text(name, otherwise string) string {
	if value := r.values[name]; value != "" {
		return value
	}
	return otherwise
}

func (r *reader) refuse(name, value, wanted string) {
	r.wrong = append(r.wrong, fmt.Errorf("%s=%q is not %s", name, value, wanted))
}

// address is host:port; ztunnel also takes it as a URL, and so must what sets it.
func (r *reader) address(name, otherwise string) string {
	value := r.text(name, otherwise)
	plain := strings.TrimSuffix(strings.TrimPrefix(value, "https://"), "/")
	host, port, err := net.SplitHostPort(plain)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || host == "" || number == 0 {
		r.refuse(name, value, "an address of the form host:port")
	}
	return plain
}

func (r *reader) ip(name string) string {
	value := r.text(name, "")
	if _, err := netip.ParseAddr(value); err != nil && value != "" {
		r.refuse(name, value, "an IP address")
	}
	return value
}

func (r *reader) number(name string, otherwise int) int {
	value := r.text(name, "")
	if value == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(value, 0, 31)
	if err != nil {
		r.refuse(name, value, "a number")
	}
	return int(number)
}

func (r *reader) boolean(name string, otherwise bool) bool {
	value := r.text(name, "")
	if value == "" {
		return otherwise
	}
	is, err := strconv.ParseBool(value)
	if err != nil {
		r.refuse(name, value, "true or false")
	}
	return is
}

func (r *reader) seconds(name string, otherwise time.Duration) time.Duration {
	value := r.text(name, "")
	if value == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		r.refuse(name, value, "a number of seconds")
	}
	return time.Duration(number) * time.Second
}

func (r *reader) duration(name string, otherwise time.Duration) time.Duration {
	value := r.text(name, "")
	if value == "" {
		return otherwise
	}
	length, err := time.ParseDuration(value)
	if err != nil || length <= 0 {
		r.refuse(name, value, "a duration such as 24h")
	}
	return length
}
