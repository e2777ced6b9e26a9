// Package dns answers what a pod asks of DNS, on port 15053: the addresses of services that the mesh knows, those without DNS of their
// own among them; everything else is passed on to the node proxy's own name servers, through sockets of the pod.
package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"lab/nodeproxy/config"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
	"lab/nodeproxy/pods/netns"
)

// As ztunnel has them.
const (
	ttl     = 30
	timeout = 5 * time.Second
)

// Server is one pod's name server.
type Server struct {
	Store    *state.Store
	Client   func() *state.Workload // the pod's own workload; nil while istiod has not sent it
	Sockets  netns.Sockets
	Upstream []netip.AddrPort
	Domain   string // of the cluster
	Metrics  *metrics.Metrics
	Log      *slog.Logger

	servers []*dns.Server
	silent  func()
}

// Upstreams reads the name servers out of a file in the form of resolv.conf.
func Upstreams(file string) ([]netip.AddrPort, error) {
	read, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, server := range read.Servers {
		if ip, err := netip.ParseAddr(server); err == nil {
			list = append(list, netip.AddrPortFrom(ip.Unmap(), 53))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no server", file)
	}
	return list, nil
}

// Listen opens the sockets: on both transports, for each family that the namespace has.
func (s *Server) Listen() error {
	for _, ip := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		address := netip.AddrPortFrom(ip, config.DNSPort)
		err := s.listen(address)
		if err != nil && ip.Is6() {
			return nil // no IPv6 here
		}
		if err != nil {
			s.Close()
			return err
		}
		if !s.Sockets.IPv6 {
			return nil
		}
	}
	return nil
}

func (s *Server) listen(address netip.AddrPort) error {
	packets, err := s.Sockets.ListenPacket(address)
	if err != nil {
		return err
	}
	stream, err := s.Sockets.Listen(address)
	if err != nil {
		_ = packets.Close()
		return err
	}
	s.servers = append(s.servers,
		&dns.Server{PacketConn: packets, Handler: s}, &dns.Server{Listener: stream, Handler: s, ReadTimeout: timeout})
	return nil
}

// Serve answers until Close.
func (s *Server) Serve() {
	s.silent = logging.RateLimited(time.Minute, func(skipped int) {
		s.Log.Warn("no name server answers", "servers", fmt.Sprint(s.Upstream), "not_told", skipped)
	})
	for _, server := range s.servers {
		go func() {
			if err := server.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				s.Log.Error("DNS is no longer served", "error", err)
			}
		}()
	}
}

// Close closes the sockets.
func (s *Server) Close() {
	for _, server := range s.servers {
		if server.PacketConn != nil {
			_ = server.PacketConn.Close()
		}
		if server.Listener != nil {
			_ = server.Listener.Close()
		}
	}
}

// ServeDNS answers one question.
func (s *Server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s.Metrics.DNSRequests.Inc()
	answer := s.known(question)
	_, stream := w.RemoteAddr().(*net.TCPAddr)
	if answer == nil {
		answer = s.forward(ctx, question, stream)
	}
	if !stream {
		size := dns.MinMsgSize
		if options := question.IsEdns0(); options != nil {
			size = max(size, int(options.UDPSize()))
		}
		answer.Truncate(size)
		if answer.Truncated {
			s.Metrics.DNSTruncated.Inc()
		}
	}
	if err := w.WriteMsg(answer); err != nil {
		s.Log.Debug("an answer could not be sent", "error", err)
	}
}

// known answers from what is known of the mesh; nil if nothing is.
func (s *Server) known(question *dns.Msg) *dns.Msg {
	if len(question.Question) != 1 || question.Opcode != dns.OpcodeQuery {
		return nil
	}
	asked := question.Question[0]
	if asked.Qclass != dns.ClassINET || asked.Qtype != dns.TypeA && asked.Qtype != dns.TypeAAAA {
		return nil
	}
	client := s.Client()
	if client == nil {
		return nil // the name servers may know more, and a pod that starts must not be made to wait
	}
	found, is := lookup(s.Store, client, s.Domain, asked.Name)
	if !is {
		return nil
	}
	answer := new(dns.Msg)
	answer.SetReply(question)
	answer.Authoritative, answer.RecursionAvailable = true, true
	name := asked.Name
	header := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	if full := dns.Fqdn(found.name); full != dns.CanonicalName(asked.Name) {
		answer.Answer = append(answer.Answer, &dns.CNAME{Hdr: header(dns.TypeCNAME), Target: full})
		name = full
	}
	// If it has no address of the family that was asked for, the answer is empty: the name is there all the same.
	for _, ip := range found.addresses {
		switch {
		case ip.Is4() && asked.Qtype == dns.TypeA:
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header(dns.TypeA), A: ip.AsSlice()})
		case ip.Is6() && asked.Qtype == dns.TypeAAAA:
			answer.Answer = append(answer.Answer, &dns.AAAA{Hdr: header(dns.TypeAAAA), AAAA: ip.AsSlice()})
		}
	}
	return answer
}

// forward asks one name server after the other.
func (s *Server) forward(ctx context.Context, question *dns.Msg, stream bool) *dns.Msg {
	s.Metrics.DNSUpstream.Inc()
	each := timeout / time.Duration(max(len(s.Upstream), 1))
	for _, server := range s.Upstream {
		if answer, err := s.exchange(ctx, question, server, stream, each); err == nil {
			return answer
		} else {
			s.Log.Debug("a name server does not answer", "server", logging.Bare(server.String()), "error", err)
		}
	}
	s.Metrics.DNSFailures.Inc()
	s.silent()
	return new(dns.Msg).SetRcode(question, dns.RcodeServerFailure)
}

func (s *Server) exchange(ctx context.Context, question *dns.Msg, server netip.AddrPort, stream bool, patience time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &dns.Client{Timeout: patience, UDPSize: dns.MaxMsgSize} // what comes is taken, and cut here if it has to be
	var conn net.Conn
	var err error
	if stream {
		client.Net = "tcp"
		conn, err = s.Sockets.Dial(ctx, server, netip.Addr{})
	} else {
		conn, err = s.Sockets.DialPacket(server)
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, _, err := client.ExchangeWithConnContext(ctx, question, &dns.Conn{Conn: conn})
	return answer, err
}
