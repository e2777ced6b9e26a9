package zds

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/zdsapi"

	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/pods/zds/zdstest"
	"lab/nodeproxy/runtest"
)

// recorder notes what it is asked for.
type recorder struct{ calls chan string }

func (r *recorder) Add(uid string, info *zdsapi.WorkloadInfo, file *os.File) error {
	defer file.Close()
	if strings.HasPrefix(uid, "bad") {
		return errors.New("no listener: " + strings.Repeat("x", 2000))
	}
	r.calls <- fmt.Sprintf("add %s %s/%s %s", uid, info.GetNamespace(), info.GetName(), info.GetServiceAccount())
	return nil
}

func (r *recorder) Keep(uid string) error { r.calls <- "keep " + uid; return nil }
func (r *recorder) Delete(uid string)     { r.calls <- "delete " + uid }
func (r *recorder) Connected(is bool)     { r.calls <- fmt.Sprint("connected ", is) }
func (r *recorder) Only(named map[string]bool) {
	var uids []string
	for uid := range named {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	r.calls <- fmt.Sprint("only ", uids)
}

func (r *recorder) expect(t *testing.T, calls ...string) {
	t.Helper()
	for _, want := range calls {
		select {
		case got := <-r.calls:
			if got != want {
				t.Errorf("called: %s, want: %s", got, want)
			}
		case <-time.After(zdstest.Deadline):
			t.Fatalf("%s was not called", want)
		}
	}
}

func start(t *testing.T) (*zdstest.Server, *recorder) {
	t.Helper()
	server, pods := zdstest.Listen(t), &recorder{make(chan string, 100)}
	client := &Client{Socket: server.Socket, Pods: pods, Log: logging.Discard(), First: time.Millisecond, Last: 10 * time.Millisecond}
	runtest.Beside(t, client.Run)
	return server, pods
}

func file(t *testing.T) int {
	t.Helper()
	f, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return int(f.Fd())
}

func TestSnapshotAndChanges(t *testing.T) {
	server, pods := start(t)
	conn := server.Accept(t)
	for _, refusal := range []string{
		conn.Add("1", "ns", "one", "default", file(t)), conn.Keep("2"), conn.Add("3", "ns", "three", "sa", file(t)), conn.Delete("3"),
		conn.Snapshot(), conn.Add("4", "ns", "four", "sa", file(t)), conn.Delete("1"),
	} {
		if refusal != "" {
			t.Errorf("refused: %s", refusal)
		}
	}
	conn.Silent()
	pods.expect(t, "add 1 ns/one default", "keep 2", "add 3 ns/three sa", "delete 3", "only [1 2]", "connected true", "add 4 ns/four sa", "delete 1")
}

func TestARefusalIsToldAndTheConnectionStays(t *testing.T) {
	server, _ := start(t)
	conn := server.Accept(t)
	if refusal := conn.Add("bad", "ns", "one", "sa", file(t)); !strings.HasPrefix(refusal, "no listener: xxx") {
		t.Errorf("the refusal says %q", refusal)
	}
	if refusal := conn.Snapshot(); refusal != "" {
		t.Errorf("refused: %s", refusal)
	}
}

func TestTheProxyComesBack(t *testing.T) {
	server, pods := start(t)
	conn := server.Accept(t)
	conn.Snapshot()
	pods.expect(t, "only []", "connected true")
	conn.Close()
	pods.expect(t, "connected false")
	server.Accept(t).Snapshot()
}

func TestWhatIsNoProtocolEndsTheConnection(t *testing.T) {
	add := &zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Add{Add: &zdsapi.AddWorkload{Uid: "1", WorkloadInfo: &zdsapi.WorkloadInfo{Name: "a"}}}}
	nobody := &zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Add{Add: &zdsapi.AddWorkload{}}}
	keep := &zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Keep{Keep: &zdsapi.KeepWorkload{Uid: "1"}}}
	marshal := func(m proto.Message) []byte {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	unknown := protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte("x"))
	for name, test := range map[string]struct {
		data  []byte
		files int
	}{
		"no message":            {[]byte{0xff, 0xff}, 0},
		"an unknown kind":       {unknown, 0},
		"a pod without file":    {marshal(add), 0},
		"a pod with two files":  {marshal(add), 2},
		"ten files":             {marshal(add), 10},
		"a file too many":       {marshal(keep), 1},
		"a pod without name":    {marshal(nobody), 1},
		"more than 1,024 bytes": {append(marshal(add), make([]byte, 1100)...), 1},
	} {
		t.Run(name, func(t *testing.T) {
			server, pods := start(t)
			conn := server.Accept(t)
			before := files(t)
			conn.Send(test.data, slices.Repeat([]int{file(t)}, test.files)...)
			conn.Closed()
			pods.expect(t, "connected false")
			server.Accept(t).Snapshot() // and the proxy is there again
			pods.expect(t, "only []", "connected true")
			if after := files(t); after > before+2 { // the test's own file, and a connection more
				t.Errorf("%d files are open, %d were before", after, before)
			}
		})
	}
}

func TestKeepAfterTheSnapshotEndsTheConnection(t *testing.T) {
	server, _ := start(t)
	conn := server.Accept(t)
	conn.Snapshot()
	data, _ := proto.Marshal(&zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Keep{Keep: &zdsapi.KeepWorkload{Uid: "1"}}})
	conn.Send(data)
	conn.Closed()
}

func files(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func FuzzDecode(f *testing.F) {
	for _, request := range []*zdsapi.WorkloadRequest{
		{Payload: &zdsapi.WorkloadRequest_Add{Add: &zdsapi.AddWorkload{Uid: "1", WorkloadInfo: &zdsapi.WorkloadInfo{Name: "a"}}}},
		{Payload: &zdsapi.WorkloadRequest_SnapshotSent{SnapshotSent: &zdsapi.SnapshotSent{}}},
		{},
	} {
		data, err := proto.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 0, 1)
	}
	f.Fuzz(func(t *testing.T, data []byte, flags, files int) {
		request, err := decode(data, flags, files)
		if err == nil && request.GetPayload() == nil {
			t.Error("a request of no kind was taken")
		}
		if add := request.GetAdd(); err == nil && add != nil && (files != 1 || add.GetUid() == "") {
			t.Errorf("%d files with %v", files, add)
		}
	})
}

func FuzzRights(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, control []byte) {
		if list, _ := numbers(control); 4*len(list) > len(control) {
			t.Errorf("%d numbers in %d bytes", len(list), len(control))
		}
	})
}
