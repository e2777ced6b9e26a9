package config

import (
	"strings"
	"testing"
	"time"

	cni "istio.io/istio/cni/pkg/config"
)

func TestMarkIsTheOneOfIstioCNI(t *testing.T) {
	if DefaultPacketMark != cni.InpodMark {
		t.Errorf("DefaultPacketMark is %d, istio-cni's rules let %d pass", DefaultPacketMark, cni.InpodMark)
	}
}

func TestDefaults(t *testing.T) {
	c, err := FromEnvironment(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.XDSAddress != "istiod.istio-system.svc:15012" || c.CAAddress != c.XDSAddress {
		t.Errorf("addresses are %q and %q", c.XDSAddress, c.CAAddress)
	}
	if !c.IPv6 || !c.ReusePort || !c.DNS || c.PacketMark != 1337 || c.ClusterID != "Kubernetes" || c.SecretTTL != 24*time.Hour {
		t.Errorf("unexpected defaults: %+v", c)
	}
}

func TestWhatTheChartSets(t *testing.T) {
	c, err := FromEnvironment([]string{
		"XDS_ADDRESS=https://istiod-canary.istio-system.svc:15012", "CA_ADDRESS=istiod.istio-system.svc:15012",
		"ISTIO_META_CLUSTER_ID=east", "ISTIO_META_DNS_CAPTURE=false", "INSTANCE_IP=10.0.0.7", "IPV6_ENABLED=false",
		"SECRET_TTL=5m", "PACKET_MARK=0x539", "RUST_LOG=debug", "LOG_FORMAT=json", "NETWORK=net1", "UNRELATED=x",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.XDSAddress != "istiod-canary.istio-system.svc:15012" || c.CAAddress != "istiod.istio-system.svc:15012" {
		t.Errorf("addresses are %q and %q", c.XDSAddress, c.CAAddress)
	}
	if c.ClusterID != "east" || c.Metadata["CLUSTER_ID"] != "east" || c.Metadata["DNS_CAPTURE"] != "false" || !c.DNS {
		t.Errorf("metadata was not read: %+v", c)
	}
	if c.IPv6 || c.SecretTTL != 5*time.Minute || c.PacketMark != 1337 || c.LogLevel != "debug" || !c.LogJSON || c.Network != "net1" {
		t.Errorf("unexpected settings: %+v", c)
	}
}

func TestDrain(t *testing.T) {
	for _, test := range []struct {
		environ []string
		want    time.Duration
	}{
		{nil, 5 * time.Second},
		{[]string{"TERMINATION_GRACE_PERIOD_SECONDS=30"}, 25 * time.Second},
		{[]string{"TERMINATION_GRACE_PERIOD_SECONDS=10"}, 9 * time.Second},
		{[]string{"TERMINATION_GRACE_PERIOD_SECONDS=1"}, time.Second},
		{[]string{"TERMINATION_GRACE_PERIOD_SECONDS=30", "CONNECTION_TERMINATION_DEADLINE=2s"}, 2 * time.Second},
	} {
		if c, err := FromEnvironment(test.environ); err != nil || c.Drain != test.want {
			t.Errorf("%v: drain is %v (%v), want %v", test.environ, c.Drain, err, test.want)
		}
	}
}

func TestEveryWrongValueIsNamed(t *testing.T) {
	_, err := FromEnvironment([]string{
		"XDS_ADDRESS=istiod", "CA_ADDRESS=istiod:0", "INSTANCE_IP=here", "PACKET_MARK=x", "IPV6_ENABLED=perhaps",
		"SECRET_TTL=5", "TERMINATION_GRACE_PERIOD_SECONDS=-1", "CONNECTION_TERMINATION_DEADLINE=-1s",
	})
	if err == nil {
		t.Fatal("nothing was refused")
	}
	for _, name := range []string{
		"XDS_ADDRESS", "CA_ADDRESS", "INSTANCE_IP", "PACKET_MARK", "IPV6_ENABLED", "SECRET_TTL",
		"TERMINATION_GRACE_PERIOD_SECONDS", "CONNECTION_TERMINATION_DEADLINE",
	} {
		if !strings.Contains(err.Error(), name+"=") {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}
