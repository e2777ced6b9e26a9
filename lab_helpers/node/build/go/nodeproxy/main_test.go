package main

import "testing"

func TestWhatIsCalledWronglyIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		arguments, environ []string
		code               int
	}{
		"no arguments":        {nil, nil, 2},
		"another proxy":       {[]string{"proxy", "sidecar"}, nil, 2},
		"a wrong environment": {[]string{"proxy", "ztunnel"}, []string{"XDS_ADDRESS=nowhere"}, 2},
		"a wrong log level":   {[]string{"proxy", "ztunnel"}, []string{"RUST_LOG=loud"}, 2},
		"its version":         {[]string{"version"}, nil, 0},
	} {
		if code := run(test.arguments, test.environ); code != test.code {
			t.Errorf("%s: the exit code is %d, want %d", name, code, test.code)
		}
	}
}
