"""The scripts that make a node out of new namespaces: its root file system, and its network."""

from __future__ import annotations

# What the kubelet wants of the kernel (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables), and sets on the whole
# machine, since none of it belongs to a namespace, unless it finds it so.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}

# In the node's /proc, $SETTINGS read as it says, and nothing can be written but what belongs to the node's own network.
KEEP_KERNEL = """
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mkdir run/settings
for setting in $SETTINGS; do
    file=run/settings/$(echo "${setting%=*}" | tr / .)
    echo "${setting#*=}" > "$file"
    [ ! -e "proc/sys/${setting%=*}" ] || mount --bind "$file" "proc/sys/${setting%=*}"
done
mount -o remount,bind,ro proc/sys
"""

# Of the machine's devices the node has those that programs expect everywhere, and the kernel's log, which a kubelet reads; no disk.
DEVICES = """
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty kmsg fuse; do
    if [ -e "/dev/$device" ]; then
        touch "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    fi
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number%:*}" "dev/${number#*:}"
done
[ ! -e proc/sysrq-trigger ] || mount --bind dev/null proc/sysrq-trigger
"""

# What root in the node has no use for: to load modules, reach devices' ports, reboot, set the clock. Nor has a privileged pod.
LESS = ("/usr/bin/setpriv", "--bounding-set=-sys_module,-sys_rawio,-sys_boot,-sys_time", "--")

# Everything here happens inside the new namespaces, as root. The node's root is a copy-on-write layer over a Debian
# of its own, so nothing of the host's files is in sight and nothing that a component writes reaches the host.
BOOT = f"""
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
{DEVICES}
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/lock
{KEEP_KERNEL}
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
exec {" ".join(LESS)} /usr/bin/tini -- sleep infinity
"""

# Before a link is up, and so before it has an address. Whatever comes in by it the kernel drops then, whoever sent it.
NO_IPV6 = """
if [ -e /proc/sys/net/ipv6/conf/{link} ]; then
    ip link set {link} addrgenmode none
    echo 1 > /proc/sys/net/ipv6/conf/{link}/disable_ipv6
fi
"""

# No default route: what is not the node, its pods or its services is unreachable. What is left is the host's end of the
# link; the rules let answers through to it and nothing else, and no IPv6, of which neither end of the link has any, unless the
# kernel has none at all. mangle, because kube-proxy keeps its hands off it.
NETWORK = """
set -e
ip link set lo up
{no_ipv6}
ip address add {address}/32 peer {host_address} dev eth0
ip link set eth0 up
ip route add {services} dev lo src {address}
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries
iptables -t mangle -A POSTROUTING -o eth0 -m conntrack --ctstate NEW,INVALID -j DROP
[ ! -e /proc/sys/net/ipv6 ] || ip6tables -t mangle -A POSTROUTING -o eth0 -j DROP
touch /run/booted
"""
