// Package hbone is the tunnel between node proxies and waypoints: HTTP/2 CONNECT (RFC 9113, section 8.5) over mutual TLS, one stream
// for each connection of an application.
package hbone

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"lab/nodeproxy/observe/metrics"
)

// As ztunnel sets them.
const (
	maxStreams   = 200 // that a peer may open on one connection
	usedStreams  = 100 // that this side opens on one connection, if the peer allows as many
	pingAfter    = 10 * time.Second
	pingTimeout  = 20 * time.Second
	idleTimeout  = 5 * time.Minute
	streamWindow = 4 << 20
	connWindow   = 16 << 20
	maxHeaders   = 64 << 10
	// ztunnel takes frames of up to 1 MiB. Here the sender holds a buffer of the size of a frame for each stream, so they are smaller.
	maxFrame = 64 << 10
)

// Timeout is how long connecting, the handshake and the peer's answer may each take.
const Timeout = 10 * time.Second

// Error is a tunnel that did not come to be, with what it is counted as.
type Error struct {
	Flag   string // of the metrics package
	Status int    // the peer's answer, if there was one
	err    error
}

// Error says what was wrong.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

func failed(flag, format string, args ...any) *Error {
	return &Error{Flag: flag, err: fmt.Errorf(format, args...)}
}

// Flag returns what a failure is counted as.
func Flag(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Flag
	}
	return metrics.FlagConnect
}

// Authority is what a CONNECT asks for: an address or a host name, and a port.
type Authority struct {
	IP   netip.Addr // invalid if it is a name
	Host string     // empty if it is an address
	Port uint16
}

// ParseAuthority reads the authority of a CONNECT.
func ParseAuthority(text string) (Authority, error) {
	if address, err := netip.ParseAddrPort(text); err == nil {
		if address.Port() == 0 || address.Addr().Zone() != "" {
			return Authority{}, fmt.Errorf("%.100q has no port or has a zone", text)
		}
		return Authority{IP: address.Addr().Unmap(), Port: address.Port()}, nil
	}
	at := strings.LastIndexByte(text, ':')
	if at < 1 {
		return Authority{}, fmt.Errorf("%.100q is not of the form host:port", text)
	}
	port, err := strconv.ParseUint(text[at+1:], 10, 16)
	if err != nil || port == 0 {
		return Authority{}, fmt.Errorf("%.100q has no port", text)
	}
	host := text[:at]
	if len(host) > 253 || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._*") != "" {
		return Authority{}, fmt.Errorf("%.100q is neither an address nor a host name", text)
	}
	return Authority{Host: host, Port: uint16(port)}, nil
}
