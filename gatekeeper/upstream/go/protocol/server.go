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

// grace is how long a handler may take to stop after its deadline.
const grace = time.Second

// Handler answers one call.
type Handler func(ctx context.Context, payload json.RawMessage) (any, error)

// Unfinished is a result that is returned while a part of the work does not stop.
type Unfinished struct{ Result any }

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
		request, err := decodeRequest(body)
		if err != nil {
			return err
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
	answer := s.call(request)
	body, err := json.Marshal(answer)
	if err != nil {
		body, _ = json.Marshal(Answer{ID: request.ID, Error: err.Error(), Hung: answer.Hung})
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	// A caller that has gone cannot be answered.
	_ = WriteFrame(s.writer, body)
}

// call runs a handler until its deadline. A handler that does not stop then is left behind: the other calls go on.
func (s *Server) call(request Request) Answer {
	handler, known := s.handlers[request.Call]
	if !known {
		return Answer{ID: request.ID, Error: fmt.Sprintf("there is no call %q", request.Call)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(request.Seconds*float64(time.Second)))
	defer cancel()
	done := make(chan Answer, 1)
	go func() { done <- run(ctx, handler, request) }()
	select {
	case answer := <-done:
		return answer
	case <-ctx.Done():
	}
	select {
	case answer := <-done:
		return answer
	case <-time.After(grace):
		return Answer{ID: request.ID, Error: "the call does not stop at its deadline", Late: true, Hung: true}
	}
}

func run(ctx context.Context, handler Handler, request Request) (answer Answer) {
	defer func() {
		if fault := recover(); fault != nil {
			answer = Answer{ID: request.ID, Error: fmt.Sprintf("the call %s failed: %v", request.Call, fault)}
		}
	}()
	result, err := handler(ctx, request.Payload)
	if err != nil {
		return Answer{ID: request.ID, Error: err.Error(), Late: errors.Is(err, context.DeadlineExceeded)}
	}
	if part, unfinished := result.(Unfinished); unfinished {
		return Answer{ID: request.ID, Result: part.Result, Hung: true}
	}
	return Answer{ID: request.ID, Result: result}
}
