package logging

import "encoding/json"

// quote appends s as a JSON string; what is not valid UTF-8 is replaced.
func quote(line []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // a string can always be marshalled
		return append(line, `""`...)
	}
	return append(line, quoted...)
}
