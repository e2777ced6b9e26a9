package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets makes marked sockets in one namespace.
type Sockets struct {
	Namespace *Namespace // nil: the proxy's own
	Mark      int        // SO_MARK of every socket, listeners too; 0 for none
	IPv6      bool       // listen on both families where the kernel has both
	ReusePort bool       // share ports with the proxy that this one takes over from
	// Unspoofed is told when a connection could not be given its client's address as source, and goes on without.
	Unspoofed func(error)
}

// As ztunnel sets them (its ARCHITECTURE and config: no delay, keepalive 180 s, 180 s, nine times; a backlog of 128).
const (
	backlog   = 128
	keepIdle  = 180
	keepProbe = 9
)

func family(address netip.Addr) int {
	if address.Is4() || address.Is4In6() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(address netip.AddrPort) unix.Sockaddr {
	if ip := address.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(address.Port()), Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
}

// open makes a non-blocking socket, marked before anything is done with it.
func (s Sockets) open(family, kind int) (int, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if s.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, s.Mark); err != nil {
			_ = unix.Close(fd)
			return -1, os.NewSyscallError("setsockopt SO_MARK", err)
		}
	}
	return fd, nil
}

// bound makes a socket that is bound to the address, and listens if it is a stream.
func (s Sockets) bound(address netip.AddrPort, kind int) (*os.File, error) {
	var fd int
	err := s.Namespace.Do(func() (err error) {
		if fd, err = s.open(family(address.Addr()), kind); err != nil {
			return err
		}
		options := map[int]bool{unix.SO_REUSEADDR: kind == unix.SOCK_STREAM, unix.SO_REUSEPORT: s.ReusePort}
		for option, wanted := range options {
			if wanted && err == nil {
				err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1))
			}
		}
		if err == nil && address.Addr() == netip.IPv6Unspecified() {
			err = os.NewSyscallError("setsockopt IPV6_V6ONLY", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
		}
		if err == nil {
			err = os.NewSyscallError("bind", unix.Bind(fd, sockaddr(address)))
		}
		if err == nil && kind == unix.SOCK_STREAM {
			err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
		}
		if err != nil {
			_ = unix.Close(fd)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %v: %w", address, err)
	}
	return os.NewFile(uintptr(fd), address.String()), nil
}

// Any returns the address that stands for all of the namespace: a REDIRECT ends at 127.0.0.1 for what the pod sends, and at the
// address of its link for what it receives.
func (s Sockets) Any(port uint16) netip.AddrPort {
	if s.IPv6 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), port)
}

// Listen accepts connections at the address.
func (s Sockets) Listen(address netip.AddrPort) (net.Listener, error) {
	file, err := s.bound(address, unix.SOCK_STREAM)
	if errors.Is(err, unix.EAFNOSUPPORT) && address.Addr() == netip.IPv6Unspecified() {
		// A kernel without IPv6: both families are one.
		file, err = s.bound(netip.AddrPortFrom(netip.IPv4Unspecified(), address.Port()), unix.SOCK_STREAM)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() // FileListener has a descriptor of its own
	return net.FileListener(file)
}

// ListenPacket receives datagrams at the address.
func (s Sockets) ListenPacket(address netip.AddrPort) (net.PacketConn, error) {
	file, err := s.bound(address, unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FilePacketConn(file)
}

// Dial connects to destination. If source is valid and another address than the destination's, the connection carries it:
// the application then sees who called it, and its answer finds back by istio-cni's connection mark. Where that fails the
// connection goes on under the pod's own address, as ztunnel's does.
func (s Sockets) Dial(ctx context.Context, destination netip.AddrPort, source netip.Addr) (*net.TCPConn, error) {
	file, err := s.connect(unix.SOCK_STREAM, destination, func(fd int) {
		if source.IsValid() && source.Unmap() != destination.Addr().Unmap() {
			if err := spoof(fd, source); err != nil && s.Unspoofed != nil {
				s.Unspoofed(err)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := connected(ctx, file); err != nil {
		return nil, fmt.Errorf("%v: %w", destination, err)
	}
	connection, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	tcp := connection.(*net.TCPConn)
	Tune(tcp)
	return tcp, nil
}

// spoof binds the socket to an address that is not this host's.
func spoof(fd int, source netip.Addr) error {
	level, transparent, free := unix.SOL_IP, unix.IP_TRANSPARENT, unix.IP_FREEBIND
	if family(source) == unix.AF_INET6 {
		level, transparent, free = unix.SOL_IPV6, unix.IPV6_TRANSPARENT, unix.IPV6_FREEBIND
	}
	if err := unix.SetsockoptInt(fd, level, transparent, 1); err != nil {
		return os.NewSyscallError("setsockopt IP_TRANSPARENT", err)
	}
	if err := unix.SetsockoptInt(fd, level, free, 1); err != nil {
		return os.NewSyscallError("setsockopt IP_FREEBIND", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(source, 0))))
}

// connected waits for the outcome of a connect that was begun.
func connected(ctx context.Context, file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var outcome error
	err = raw.Write(func(fd uintptr) bool {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			outcome = os.NewSyscallError("connect", err)
			return true
		}
		// No error may also mean: not yet. Only who is connected has a peer.
		_, err = unix.Getpeername(int(fd))
		return err == nil
	})
	if outcome != nil {
		return outcome
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// DialPacket makes a datagram socket that only exchanges with destination.
func (s Sockets) DialPacket(destination netip.AddrPort) (net.Conn, error) {
	file, err := s.connect(unix.SOCK_DGRAM, destination, func(int) {})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileConn(file)
}

// connect makes a socket in the pod, has it prepared, and begins to connect it.
func (s Sockets) connect(kind int, destination netip.AddrPort, prepare func(fd int)) (*os.File, error) {
	var fd int
	err := s.Namespace.Do(func() (err error) {
		if fd, err = s.open(family(destination.Addr()), kind); err != nil {
			return err
		}
		prepare(fd)
		if err = unix.Connect(fd, sockaddr(destination)); err == unix.EINPROGRESS {
			err = nil
		}
		if err != nil {
			_ = unix.Close(fd)
		}
		return os.NewSyscallError("connect", err)
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", destination, err)
	}
	return os.NewFile(uintptr(fd), destination.String()), nil
}

// Tune sets on a connection, accepted or dialled, what ztunnel sets: no delay, and keepalive.
func Tune(connection *net.TCPConn) {
	_ = connection.SetNoDelay(true)
	_ = connection.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: keepIdle * time.Second, Interval: keepIdle * time.Second, Count: keepProbe,
	})
}

// OriginalDestination returns where a redirected connection was going, or its local address if it was not redirected.
func OriginalDestination(connection *net.TCPConn) netip.AddrPort {
	local := Address(connection.LocalAddr())
	raw, err := connection.SyscallConn()
	if err != nil {
		return local
	}
	found := local
	_ = raw.Control(func(fd uintptr) {
		// The structs only have to be as large as the addresses that the kernel writes into them: x/sys has no call of its own.
		if local.Addr().Is4() {
			if raw, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST); err == nil {
				a := raw.Multiaddr
				found = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), uint16(a[2])<<8|uint16(a[3]))
			}
			return
		}
		if raw, err := unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, unix.SO_ORIGINAL_DST); err == nil {
			port := raw.Addr.Port // in network order
			found = netip.AddrPortFrom(netip.AddrFrom16(raw.Addr.Addr), port<<8|port>>8)
		}
	})
	return found
}

// Address returns a network address as a value, IPv4 always in its own form.
func Address(address net.Addr) netip.AddrPort {
	var found netip.AddrPort
	switch a := address.(type) {
	case *net.TCPAddr:
		found = a.AddrPort()
	case *net.UDPAddr:
		found = a.AddrPort()
	}
	return netip.AddrPortFrom(found.Addr().Unmap(), found.Port())
}
