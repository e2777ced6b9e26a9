package pod

import (
	"errors"
	"net"

	"lab/nodeproxy/config"
)

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// Reserved says whether a port is one of the proxy's own in every pod: what asks for one of them by way of the proxy goes round in
// circles, or wants to pass for the proxy.
func Reserved(port uint16) bool {
	return port == config.OutboundPort || port == config.InboundPlaintextPort || port == config.InboundHBONEPort
}
