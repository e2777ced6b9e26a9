package identity

import (
	"crypto/x509"
	"net/url"
	"testing"
)

func TestParse(t *testing.T) {
	want := Identity{"cluster.local", "default", "sleep"}
	if got, err := Parse("spiffe://cluster.local/ns/default/sa/sleep"); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{
		"", "spiffe://", "spiffe://td", "td/ns/a/sa/b", "https://td/ns/a/sa/b", "spiffe://td/sa/a/ns/b", "spiffe://td/ns//sa/b",
		"spiffe:///ns/a/sa/b", "spiffe://td/ns/a/sa/", "spiffe://td/ns/a/sa/b/c",
	} {
		if got, err := Parse(wrong); err == nil {
			t.Errorf("%q was read as %v", wrong, got)
		}
	}
}

func TestFromCertificate(t *testing.T) {
	foreign, own := &url.URL{Scheme: "https", Host: "a"}, &url.URL{Scheme: "spiffe", Host: "td", Path: "/ns/a/sa/b"}
	if got, err := FromCertificate(&x509.Certificate{URIs: []*url.URL{foreign, own}}); err != nil || got.String() != "spiffe://td/ns/a/sa/b" {
		t.Errorf("%v, %v", got, err)
	}
	for _, uris := range [][]*url.URL{nil, {foreign}} {
		if got, err := FromCertificate(&x509.Certificate{URIs: uris}); err == nil {
			t.Errorf("%v carries %v", uris, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("spiffe://cluster.local/ns/default/sa/sleep")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := Parse(text); err == nil && id.String() != text {
			t.Errorf("%q became %q", text, id)
		}
	})
}
