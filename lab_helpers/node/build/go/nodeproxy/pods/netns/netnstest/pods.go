package netnstest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lab/nodeproxy/pods/netns"
)

// Node is a link that pods are joined by.
type Node struct {
	bridge *netns.Namespace
	pods   int
}

// NewNode makes a node without pods.
func NewNode(t testing.TB) *Node {
	t.Helper()
	node := &Node{bridge: New(t)}
	Run(t, node.bridge, "ip link add br0 type bridge\nip link set br0 up")
	return node
}

// Pod is a network namespace with an address on its node's link.
type Pod struct {
	*netns.Namespace
	Address netip.Addr
}

// At returns the pod's address and a port.
func (p Pod) At(port uint16) netip.AddrPort { return netip.AddrPortFrom(p.Address, port) }

// Sockets makes sockets as an application in the pod does: without a mark.
func (p Pod) Sockets() netns.Sockets { return netns.Sockets{Namespace: p.Namespace} }

// Pod makes a pod on the node. Nothing of it is redirected.
func (n *Node) Pod(t testing.TB) Pod {
	t.Helper()
	n.pods++
	address := netip.AddrFrom4([4]byte{10, 9, 0, byte(n.pods)})
	pod := Pod{New(t), address}
	inside := File(t, pod.Namespace)
	link := fmt.Sprintf("pod%d", n.pods)
	Run(t, n.bridge, fmt.Sprintf("ip link add %s type veth peer name eth0 netns /proc/%d/fd/%d", link, os.Getpid(), inside.Fd()))
	Run(t, n.bridge, fmt.Sprintf("ip link set %s up master br0", link))
	Run(t, pod.Namespace, fmt.Sprintf("ip address add %v/24 dev eth0\nip link set eth0 up\nip route add default via 10.9.0.254", address))
	return pod
}

// Redirect lays in the pod what istio-cni lays there: the rules of its own golden file, out of Istio's module, and the route back
// for connections that carry their client's address (istio.io/istio, cni/pkg/iptables).
func (p Pod) Redirect(t testing.TB) {
	t.Helper()
	golden, err := os.ReadFile(filepath.Join(istio(t), "cni/pkg/iptables/testdata/default.golden"))
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(golden), "* mangle")
	Feed(t, p.Namespace, "* mangle"+rules+"\n", "iptables-restore")
	Run(t, p.Namespace, "ip rule add fwmark 0x111/0xfff pref 32764 lookup 100\nip route add local 0.0.0.0/0 dev lo table 100")
}

// istio returns the folder of Istio's module: what ISTIO_MODULE says, or else what go does.
func istio(t testing.TB) string {
	t.Helper()
	if folder := os.Getenv("ISTIO_MODULE"); folder != "" {
		return folder
	}
	listed, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio").Output()
	if err != nil {
		t.Fatalf("Istio's module is not to be found: %v", err)
	}
	return strings.TrimSpace(string(listed))
}
