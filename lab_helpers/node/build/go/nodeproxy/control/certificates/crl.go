package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// CRL is a file of certificates that were revoked, which the chart mounts under CRL_PATH. A nil CRL revokes nothing.
type CRL struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	changed time.Time
	failed  string
	lists   []*x509.RevocationList
}

// NewCRL watches the file; without a path there is nothing to watch.
func NewCRL(path string, log *slog.Logger) *CRL {
	if path == "" {
		return nil
	}
	return &CRL{path: path, log: log}
}

// Check looks for a certificate of the chain in the lists of those who signed them.
func (c *CRL) Check(chain []*x509.Certificate) error {
	if c == nil {
		return nil
	}
	lists := c.read()
	for at, certificate := range chain[:max(len(chain)-1, 0)] {
		issuer := chain[at+1]
		for _, list := range lists {
			if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
				continue
			}
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(certificate.SerialNumber) == 0 {
					return fmt.Errorf("certificate %v was revoked", certificate.SerialNumber)
				}
			}
		}
	}
	return nil
}

// read returns the lists, read again if the file has changed. A file that cannot be read leaves what was read before in force.
func (c *CRL) read() []*x509.RevocationList {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.lists // the volume is optional
	}
	if err == nil && info.ModTime().Equal(c.changed) {
		return c.lists
	}
	var lists []*x509.RevocationList
	if err == nil {
		lists, err = readLists(c.path)
	}
	if err != nil {
		if text := err.Error(); text != c.failed { // once for each kind of trouble, not for each connection
			c.failed = text
			c.log.Error("the list of revoked certificates cannot be read; the one before stays in force", "error", err)
		}
		return c.lists
	}
	c.lists, c.changed, c.failed = lists, info.ModTime(), ""
	return c.lists
}

func readLists(path string) ([]*x509.RevocationList, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lists []*x509.RevocationList
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return lists, nil
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
}
