// The node proxy is a stand-in for ztunnel, written for this lab: no package registry has the real one. It speaks the same protocols
// with the same istio-cni, istiod and waypoints, so that Istio's ambient mode runs, and it is not ztunnel. See README.md.
//
// It is started as Istio's chart starts ztunnel: with the arguments "proxy ztunnel", and everything else in the environment.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"google.golang.org/grpc/grpclog"

	"lab/nodeproxy/app"
	"lab/nodeproxy/config"
	"lab/nodeproxy/observe/logging"
)

// version is the version of Istio that the proxy was built for; the build sets it.
var version = "unknown"

func main() { os.Exit(run(os.Args[1:], os.Environ())) }

// run returns the exit code: 2 for what is wrong with how the program was called, 1 for what goes wrong later.
func run(arguments, environ []string) int {
	if slices.Equal(arguments, []string{"version"}) {
		fmt.Println("node proxy, a stand-in for ztunnel, for Istio", version)
		return 0
	}
	if !slices.Equal(arguments, []string{"proxy", "ztunnel"}) {
		fmt.Fprintf(os.Stderr, "The arguments are %q.\nCall the node proxy as Istio's chart does: with the arguments proxy ztunnel.\n", arguments)
		return 2
	}
	c, err := config.FromEnvironment(environ)
	if err != nil {
		fmt.Fprintf(os.Stderr, "The environment is wrong:\n%v\nCorrect it in the DaemonSet, or in the values of Istio's ztunnel chart.\n", err)
		return 2
	}
	levels, err := logging.NewLevels(c.LogLevel)
	if err != nil {
		fmt.Fprintf(os.Stderr, "RUST_LOG: %v\n", err)
		return 2
	}
	log := logging.New(os.Stdout, levels, c.LogJSON)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// The second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	// What goes wrong on the way to istiod is logged where it is noticed, in the form of all other lines.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	log.Info("starting the node proxy, a stand-in for ztunnel", "version", version, "node", c.NodeName, "istiod", c.XDSAddress)
	if err := app.Run(ctx, app.Ports(app.Options{Config: c, Version: version, Log: log, Levels: levels})); err != nil {
		log.Error("the node proxy ends", "error", err)
		return 1
	}
	log.Info("the node proxy has ended")
	return 0
}
