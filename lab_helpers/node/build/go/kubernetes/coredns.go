package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	// Only what the lab's Corefile names: each further plugin would be compiled for nothing.
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"
)

func runCoreDNS() {
	// A request passes the plugins in this order. CoreDNS' own has template before kubernetes; here it comes last,
	// to say "no such name" to whatever nothing before it knew.
	dnsserver.Directives = []string{"reload", "errors", "health", "ready", "cache", "hosts", "kubernetes", "template"}
	coremain.Run()
}
