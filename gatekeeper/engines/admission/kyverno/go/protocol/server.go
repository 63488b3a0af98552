package protocol

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Handler answers one call.
type Handler func(ctx context.Context, payload json.RawMessage) (any, error)

// Server answers requests from one reader on one writer, each in a goroutine of its own.
type Server struct {
	handlers map[string]Handler
	lock     sync.Mutex
	writer   io.Writer
}

// NewServer returns a server with a handler for each call.
func NewServer(handlers map[string]Handler, writer io.Writer) *Server {
	return &Server{handlers: handlers, writer: writer}
}

// Serve answers requests until the input ends.
func (s *Server) Serve(input io.Reader) error {
	reader := bufio.NewReaderSize(input, 1<<16)
	for {
		body, err := ReadFrame(reader)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var request Request
		if err := json.Unmarshal(body, &request); err != nil {
			return fmt.Errorf("a request is not JSON: %w", err)
		}
		if request.Call == "hello" {
			// The first call may set what the others need.
			s.answer(request)
		} else {
			go s.answer(request)
		}
	}
}

func (s *Server) answer(request Request) {
	result, err := s.call(request)
	answer := Answer{ID: request.ID, Result: result}
	if err != nil {
		answer = Answer{ID: request.ID, Error: err.Error()}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		body, _ = json.Marshal(Answer{ID: request.ID, Error: err.Error()})
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	// A caller that has gone cannot be answered.
	_ = WriteFrame(s.writer, body)
}

func (s *Server) call(request Request) (result any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			result, err = nil, fmt.Errorf("the call %s failed: %v", request.Call, fault)
		}
	}()
	handler, known := s.handlers[request.Call]
	if !known {
		return nil, fmt.Errorf("there is no call %q", request.Call)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(request.Seconds*float64(time.Second)))
	defer cancel()
	return handler(ctx, request.Payload)
}
