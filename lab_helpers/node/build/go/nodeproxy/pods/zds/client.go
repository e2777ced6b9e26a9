package zds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"istio.io/istio/pkg/zdsapi"
)

// Pods is what the requests are about. It is called by one goroutine.
type Pods interface {
	// Add takes over a pod's network namespace. It returns once the pod's listeners stand, and never waits for istiod: the pod is
	// not started before, and istiod does not know it before it is started.
	Add(uid string, info *zdsapi.WorkloadInfo, namespace *os.File) error
	// Keep says that a pod of which istio-cni knows no network namespace (any more) is still there.
	Keep(uid string) error
	// Delete stops a pod's listeners at once.
	Delete(uid string)
	// Only drops every pod that the snapshot did not name.
	Only(named map[string]bool)
	// Connected tells whether istio-cni is there and has sent all that it has.
	Connected(bool)
}

// Client keeps a connection to istio-cni.
type Client struct {
	Socket string
	Pods   Pods
	Log    *slog.Logger

	// The time between two tries grows from First to Last; ztunnel's are 10 ms and 15 s.
	First, Last time.Duration
}

// Run dials istio-cni, again and again, until the context ends. When the connection is lost all pods stay as they are.
func (c *Client) Run(ctx context.Context) {
	pause := c.First
	for ctx.Err() == nil {
		began := time.Now()
		err := c.once(ctx)
		c.Pods.Connected(false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > c.Last {
			pause = c.First
		}
		c.Log.Warn("istio-cni is not connected; every pod keeps its proxy", "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, c.Last)
	}
}

// once serves one connection until it is lost.
func (c *Client) once(ctx context.Context) error {
	address := &net.UnixAddr{Net: "unixpacket", Name: c.Socket}
	conn, err := net.DialUnix("unixpacket", nil, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := hello(conn); err != nil {
		return err
	}
	s := session{pods: c.Pods, log: c.Log, named: map[string]bool{}}
	for {
		request, file, err := receive(conn)
		if errors.Is(err, io.EOF) {
			return errors.New("istio-cni closed the connection")
		}
		if err != nil {
			// What cannot be read cannot be answered either: an answer would be taken for that of the next request.
			return fmt.Errorf("the connection is given up: %w", err)
		}
		refusal, err := s.handle(request, file)
		if err != nil {
			return fmt.Errorf("the connection is given up: %w", err)
		}
		if err := answer(conn, refusal); err != nil {
			return err
		}
	}
}

// session is one connection: a snapshot of all pods, then what changes.
type session struct {
	pods     Pods
	log      *slog.Logger
	named    map[string]bool
	snapshot bool // is through
}

// handle does what is asked. A refusal is for istio-cni, which tries again; an error ends the connection.
func (s *session) handle(request *zdsapi.WorkloadRequest, file *os.File) (refusal, err error) {
	switch payload := request.GetPayload().(type) {
	case *zdsapi.WorkloadRequest_Add:
		uid, info := payload.Add.GetUid(), payload.Add.GetWorkloadInfo()
		s.named[uid] = true
		refusal = s.pods.Add(uid, info, file)
		s.say(refusal, "pod added", "uid", uid, "pod", info.GetNamespace()+"/"+info.GetName())
	case *zdsapi.WorkloadRequest_Keep:
		if s.snapshot {
			return nil, errors.New("a pod to keep after the end of the snapshot")
		}
		s.named[payload.Keep.GetUid()] = true
		refusal = s.pods.Keep(payload.Keep.GetUid())
		s.say(refusal, "pod kept", "uid", payload.Keep.GetUid())
	case *zdsapi.WorkloadRequest_Del:
		delete(s.named, payload.Del.GetUid())
		s.pods.Delete(payload.Del.GetUid())
		s.say(nil, "pod removed", "uid", payload.Del.GetUid())
	case *zdsapi.WorkloadRequest_SnapshotSent:
		if s.snapshot {
			return nil, errors.New("a second end of the snapshot")
		}
		s.snapshot = true
		s.pods.Only(s.named)
		s.named = map[string]bool{}
		s.pods.Connected(true)
		s.log.Info("istio-cni has sent all pods of the node")
	default:
		return nil, fmt.Errorf("a request of an unknown kind: %T", payload)
	}
	return refusal, nil
}

func (s *session) say(refusal error, done string, args ...any) {
	if refusal != nil {
		s.log.Error("pod refused", append(args, "error", refusal)...)
		return
	}
	s.log.Info(done, args...)
}
