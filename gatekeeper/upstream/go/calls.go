package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"gatekeeper/upstream/admissionpolicy"
	"gatekeeper/upstream/apiserver"
	"gatekeeper/upstream/customresource"
	"gatekeeper/upstream/emulation"
	"gatekeeper/upstream/helm"
	"gatekeeper/upstream/kustomize"
	"gatekeeper/upstream/protocol"
)

// calls are the calls of this program.
type calls struct {
	greeted atomic.Bool
	builtin func() (*apiserver.Validator, error)
	custom  *customresource.Kinds
	charts  *helm.Store
	// policies keeps compiled policies in CEL.
	policies *admissionpolicy.Compiler
	builds   *kustomize.Builder
}

func newCalls() *calls {
	// Built on the first use, after the version of Kubernetes is set.
	return &calls{
		builtin: sync.OnceValues(apiserver.NewValidator), custom: customresource.NewKinds(), charts: helm.NewStore(),
		policies: admissionpolicy.NewCompiler(),
		builds:   kustomize.NewBuilder(),
	}
}

func (c *calls) handlers() map[string]protocol.Handler {
	return map[string]protocol.Handler{
		"hello": c.hello, "kinds": c.greetedOnly(c.kinds), "validate": c.greetedOnly(c.validate),
		"health":      c.greetedOnly(decoded(evaluateHealth)),
		"terraform":   c.greetedOnly(decoded(parseTerraform)),
		"expressions": c.greetedOnly(decoded(evaluateExpressions)),
		"substitute":  c.greetedOnly(decoded(substitute)),
		"helm-chart":  c.greetedOnly(decoded(c.addChart)), "helm-template": c.greetedOnly(decoded(c.renderChart)),
		"compilePolicies":  c.greetedOnly(decoded(c.compilePolicies)),
		"evaluatePolicies": c.greetedOnly(decoded(c.evaluatePolicies)),
		"checkTypes":       c.greetedOnly(decoded(c.checkTypes)),
		"kustomize":        c.greetedOnly(decoded(c.kustomize)),
	}
}

// decoded decodes the payload of a call. The error contains no part of the payload, which may be secret.
func decoded[Payload any](handler func(context.Context, Payload) (any, error)) protocol.Handler {
	return func(ctx context.Context, payload json.RawMessage) (any, error) {
		var request Payload
		if err := json.Unmarshal(payload, &request); err != nil {
			return nil, fmt.Errorf("the payload of the call cannot be decoded")
		}
		return handler(ctx, request)
	}
}

// greetedOnly refuses a call before hello, which compares the versions.
func (c *calls) greetedOnly(handler protocol.Handler) protocol.Handler {
	return func(ctx context.Context, payload json.RawMessage) (any, error) {
		if !c.greeted.Load() {
			return nil, fmt.Errorf("the first call must be hello")
		}
		return handler(ctx, payload)
	}
}

type hello struct {
	Version    string `json:"version"`
	Kubernetes string `json:"kubernetes"`
}

// hello compares the versions, and sets the version of Kubernetes that is emulated.
func (c *calls) hello(_ context.Context, payload json.RawMessage) (any, error) {
	var caller hello
	if err := json.Unmarshal(payload, &caller); err != nil {
		return nil, err
	}
	if caller.Version != version {
		return nil, fmt.Errorf("gatekeeper-upstream has version %s, and Gatekeeper has %s", version, caller.Version)
	}
	emulated, err := emulation.SetVersion(caller.Kubernetes)
	if err != nil {
		return nil, err
	}
	c.greeted.Store(true)
	if caller.Kubernetes != "" {
		// Who names a version validates next; an error is that of the first validation.
		go func() { _, _ = c.builtin() }()
	}
	return hello{Version: version, Kubernetes: emulated}, nil
}

func (c *calls) kinds(context.Context, json.RawMessage) (any, error) {
	validator, err := c.builtin()
	if err != nil {
		return nil, err
	}
	checked, unchecked := validator.Kinds()
	return map[string][]string{"checked": checked, "unchecked": unchecked}, nil
}

// kustomize builds kustomizations.
func (c *calls) kustomize(ctx context.Context, batch kustomize.Batch) (any, error) {
	return c.builds.Build(ctx, batch)
}
