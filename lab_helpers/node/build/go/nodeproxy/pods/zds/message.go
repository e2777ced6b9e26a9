// Package zds is the node proxy's side of ZDS, the protocol by which istio-cni hands pods to the proxy of their node
// (istio.io/istio, pkg/zdsapi/zds.proto; istio-cni's side is cni/pkg/nodeagent/ztunnelserver_linux.go).
//
// Each message is one packet of a SOCK_SEQPACKET socket. After the proxy's hello istio-cni sends one request at a time, and takes the
// next thing it reads for the answer: so nothing is ever sent but a hello and exactly one answer for each request.
package zds

import (
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/zdsapi"
)

// Both sides' limits: a longer packet is cut by the kernel, and refused.
const (
	maxMessage = 1024
	maxFiles   = 8 // one is expected; what comes beyond it has to be received to be closed
)

// receive reads one request, and the network namespace that came with it, if one did. The caller closes the file.
func receive(conn *net.UnixConn) (*zdsapi.WorkloadRequest, *os.File, error) {
	data := make([]byte, maxMessage)
	control := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, controls, flags, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return nil, nil, err
	}
	files, err := rights(control[:controls])
	if n == 0 && controls == 0 {
		return nil, nil, io.EOF // an empty packet and the end of the connection look the same
	}
	var request *zdsapi.WorkloadRequest
	if err == nil {
		request, err = decode(data[:n], flags, len(files))
	}
	if err != nil {
		for _, file := range files {
			_ = file.Close()
		}
		return nil, nil, err
	}
	if len(files) == 1 {
		return request, files[0], nil
	}
	return request, nil, nil
}

// rights takes the files out of a packet's control messages.
func rights(control []byte) ([]*os.File, error) {
	numbers, err := numbers(control)
	var files []*os.File
	for _, number := range numbers {
		unix.CloseOnExec(number)
		files = append(files, os.NewFile(uintptr(number), "netns"))
	}
	return files, err
}

// numbers are the file descriptors that a packet's control messages hold; with an error, those that were read before it.
func numbers(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var list []int
	for _, message := range messages {
		some, err := unix.ParseUnixRights(&message)
		if err != nil {
			return list, fmt.Errorf("control message: %w", err)
		}
		list = append(list, some...)
	}
	return list, nil
}

// decode reads a request and checks that it is one this protocol knows, with as many files as it has to have.
func decode(data []byte, flags, files int) (*zdsapi.WorkloadRequest, error) {
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, fmt.Errorf("a message of more than %d bytes or %d files", maxMessage, maxFiles)
	}
	request := &zdsapi.WorkloadRequest{}
	if err := proto.Unmarshal(data, request); err != nil {
		return nil, fmt.Errorf("not a request: %w", err)
	}
	wanted := 0
	switch payload := request.GetPayload().(type) {
	case *zdsapi.WorkloadRequest_Add:
		wanted = 1
		if payload.Add.GetUid() == "" || payload.Add.GetWorkloadInfo() == nil {
			return nil, fmt.Errorf("a pod without uid or name")
		}
	case *zdsapi.WorkloadRequest_Keep, *zdsapi.WorkloadRequest_Del, *zdsapi.WorkloadRequest_SnapshotSent:
	default:
		return nil, fmt.Errorf("a request of an unknown kind")
	}
	if files != wanted {
		return nil, fmt.Errorf("%d files with a %T, %d expected", files, request.GetPayload(), wanted)
	}
	return request, nil
}

func send(conn *net.UnixConn, message proto.Message) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = conn.Write(data)
	return err
}

func hello(conn *net.UnixConn) error { return send(conn, &zdsapi.ZdsHello{Version: zdsapi.Version_V1}) }

func answer(conn *net.UnixConn, refusal error) error {
	ack := &zdsapi.Ack{}
	if refusal != nil {
		// istio-cni reads no more than maxMessage bytes, and only logs it.
		ack.Error = fmt.Sprintf("%.500s", refusal.Error())
	}
	return send(conn, &zdsapi.WorkloadResponse{Payload: &zdsapi.WorkloadResponse_Ack{Ack: ack}})
}
