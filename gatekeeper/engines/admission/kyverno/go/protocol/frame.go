// Package protocol carries requests and answers as frames: a length of four bytes, big-endian, and JSON. A
// request has its payload behind the first line, so that nobody but the handler reads it.
package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// MaximumFrame bounds the size of a frame in bytes.
const MaximumFrame = 256 << 20

// Request asks for one call. Requests may be answered in another order.
type Request struct {
	ID      uint64  `json:"id"`
	Call    string  `json:"call"`
	Seconds float64 `json:"seconds"`
	// Payload is JSON, on a line of its own.
	Payload json.RawMessage `json:"-"`
}

// decodeRequest reads the body of a frame.
func decodeRequest(body []byte) (Request, error) {
	line, payload, _ := bytes.Cut(body, []byte("\n"))
	request := Request{Payload: payload}
	if err := json.Unmarshal(line, &request); err != nil {
		return Request{}, fmt.Errorf("a request is not JSON: %w", err)
	}
	return request, nil
}

// Answer has a result, or an error for the caller.
type Answer struct {
	ID     uint64 `json:"id"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
	// Late says that the call took longer than its deadline.
	Late bool `json:"late,omitempty"`
	// Hung says that the work of the call did not stop at its deadline: the caller should use another process.
	Hung bool `json:"hung,omitempty"`
}

// ReadFrame reads one frame; io.EOF at the end of the input.
func ReadFrame(reader io.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if size > MaximumFrame {
		return nil, fmt.Errorf("a frame of %d bytes is too large", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(reader, body); err != nil {
		return nil, err
	}
	return body, nil
}

// WriteFrame writes one frame.
func WriteFrame(writer io.Writer, body []byte) error {
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, len(body)+4), uint32(len(body)))
	_, err := writer.Write(append(frame, body...))
	return err
}
