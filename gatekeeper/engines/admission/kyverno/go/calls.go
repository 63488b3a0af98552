package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"gatekeeper/kyverno/policyset"
	"gatekeeper/kyverno/protocol"
	"gatekeeper/kyverno/suites"
)

// calls are the calls of this program.
type calls struct {
	greeted atomic.Bool
	files   bool
	sets    policyset.Cache
}

func newCalls(files bool) *calls {
	return &calls{files: files}
}

func (c *calls) handlers() map[string]protocol.Handler {
	return map[string]protocol.Handler{
		"hello": c.hello, "describe": c.greetedOnly(c.describe), "evaluate": c.greetedOnly(c.evaluate),
		"mutate": c.greetedOnly(c.mutate), "test": c.greetedOnly(c.test),
	}
}

// greetedOnly refuses a call before hello, which compares the versions.
func (c *calls) greetedOnly(handler protocol.Handler) protocol.Handler {
	return func(ctx context.Context, payload json.RawMessage) (any, error) {
		if !c.greeted.Load() {
			return nil, errors.New("the first call must be hello")
		}
		return handler(ctx, payload)
	}
}

type hello struct {
	Version    string `json:"version"`
	Kubernetes string `json:"kubernetes"`
}

// hello compares the versions.
func (c *calls) hello(_ context.Context, payload json.RawMessage) (any, error) {
	var caller hello
	if err := json.Unmarshal(payload, &caller); err != nil {
		return nil, err
	}
	if caller.Version != version {
		return nil, fmt.Errorf("gatekeeper-kyverno has version %s, and Gatekeeper has %s", version, caller.Version)
	}
	c.greeted.Store(true)
	return caller, nil
}

// request has the policies of a repository with what they may read, and objects to judge.
type request struct {
	Set     json.RawMessage   `json:"set"`
	Objects []json.RawMessage `json:"objects"`
	// Only has the positions of the policies to evaluate for each object; null for all of them.
	Only [][]int `json:"only"`
	// Skip has the positions of mutating policies to leave out.
	Skip []int `json:"skip"`
}

func (c *calls) open(payload json.RawMessage) (*policyset.Set, *request, error) {
	var call request
	if err := json.Unmarshal(payload, &call); err != nil {
		return nil, nil, err
	}
	set, err := c.sets.Open(call.Set)
	return set, &call, err
}

// describe returns what is evaluated of each policy, and what is refused or noted.
func (c *calls) describe(_ context.Context, payload json.RawMessage) (any, error) {
	set, _, err := c.open(payload)
	if err != nil {
		return nil, err
	}
	return set.Describe(), nil
}

// evaluate returns the results of the validating rules for each object, in the order of the objects.
func (c *calls) evaluate(ctx context.Context, payload json.RawMessage) (any, error) {
	set, call, err := c.open(payload)
	if err != nil {
		return nil, err
	}
	return set.Evaluate(ctx, call.Objects, call.Only)
}

// mutate returns each object as the mutating rules change it, in the order of the objects.
func (c *calls) mutate(ctx context.Context, payload json.RawMessage) (any, error) {
	set, call, err := c.open(payload)
	if err != nil {
		return nil, err
	}
	return set.Mutate(ctx, call.Objects, call.Skip)
}

// test runs the test suite in a file, kyverno-test.yaml.
func (c *calls) test(_ context.Context, payload json.RawMessage) (any, error) {
	if !c.files {
		return nil, errors.New("this process may not read files")
	}
	var suite suites.Suite
	if err := json.Unmarshal(payload, &suite); err != nil {
		return nil, err
	}
	return suite.Run()
}
