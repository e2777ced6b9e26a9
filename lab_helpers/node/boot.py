"""The scripts that make a node out of new namespaces: its root file system, and its network."""

from __future__ import annotations

# Everything here happens inside the new namespaces, as root. The node's root is a copy-on-write layer over a Debian
# of its own, so nothing of the host's files is in sight and nothing that a component writes reaches the host.
BOOT = """
set -e
mount --make-rprivate /
mkdir -p "$STATE/root"
cd "$STATE/root"
mkdir -p upper work merged
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=upper,workdir=work" merged
cd merged
mkdir -p ".$STATE" opt/lab/bin run/lock opt/cni/bin etc/cni/net.d var/log/pods
mount --bind "$STATE" ".$STATE"
mount --bind "$BINARIES" opt/lab/bin
mount --bind "$STATE/cni" etc/cni/net.d
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/lock
cp -n usr/lib/cni/* opt/cni/bin/
printf 'nameserver %s\\n' "$DNS" > etc/resolv.conf
printf '127.0.0.1 localhost\\n%s %s\\n' "$ADDRESS" "$NAME" > etc/hosts
echo "$NAME" > etc/hostname
hostname "$NAME"
mkdir -p run/host
pivot_root . run/host
umount -l /run/host
rmdir /run/host
mount --make-rshared /
exec /usr/bin/tini -- sleep infinity
"""

# No default route: what is not the node, its pods or its services is unreachable. What is left is the host's end of the
# link; the last rule lets answers through to it and nothing else. mangle, because kube-proxy keeps its hands off it.
NETWORK = """
set -e
ip link set lo up
ip address add {address}/32 peer {host_address} dev eth0
ip link set eth0 up
ip route add {services} dev lo src {address}
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries
iptables -t mangle -A POSTROUTING -o eth0 -m conntrack --ctstate NEW,INVALID -j DROP
touch /run/booted
"""
