package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"gatekeeper/upstream/admissionpolicy"
	"gatekeeper/upstream/apiserver"
	"gatekeeper/upstream/customresource"
	"gatekeeper/upstream/emulation"
	"gatekeeper/upstream/finding"
	"gatekeeper/upstream/helm"
	"gatekeeper/upstream/kustomize"
	"gatekeeper/upstream/parallel"
	"gatekeeper/upstream/protocol"
)

// objectTime is how long the validation of one object may take; it usually takes less than a millisecond.
var objectTime = 10 * time.Second

// calls are the calls of this program.
type calls struct {
	greeted atomic.Bool
	builtin func() (*apiserver.Validator, error)
	custom  *customresource.Validator
	charts  *helm.Store
	// policies keeps compiled policies in CEL.
	policies *admissionpolicy.Compiler
	builds   *kustomize.Builder
}

func newCalls() *calls {
	// Built on the first use, after the version of Kubernetes is set.
	return &calls{
		builtin: sync.OnceValues(apiserver.NewValidator), custom: customresource.NewValidator(), charts: helm.NewStore(),
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

// validation requests the validation of objects of one kind.
type validation struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Definition json.RawMessage   `json:"definition"`
	Markers    []string          `json:"markers"`
	Objects    []json.RawMessage `json:"objects"`
}

// validate returns a result for each object, in their order.
func (c *calls) validate(ctx context.Context, payload json.RawMessage) (any, error) {
	var batch validation
	if err := json.Unmarshal(payload, &batch); err != nil {
		return nil, err
	}
	version, err := schema.ParseGroupVersion(batch.APIVersion)
	if err != nil {
		return nil, err
	}
	builtin, err := c.builtin()
	if err != nil {
		return nil, err
	}
	gvk := version.WithKind(batch.Kind)
	one := func(object []byte) finding.Result { return builtin.Validate(ctx, gvk, object, batch.Markers) }
	if !builtin.Knows(gvk) && len(batch.Definition) > 0 {
		one = func(object []byte) finding.Result { return c.custom.Validate(ctx, batch.Definition, object) }
	}
	return validateAll(ctx, batch.Objects, one)
}

// validateAll validates objects on all cores. One that takes too long fails alone.
func validateAll(
	ctx context.Context, objects []json.RawMessage, one func([]byte) finding.Result,
) (any, error) {
	results := make([]finding.Result, len(objects))
	var hung atomic.Bool
	err := parallel.ForEach(ctx, len(objects), func(number int) {
		result, ended := validateWithin(ctx, objects[number], one)
		results[number] = result
		if !ended {
			hung.Store(true)
		}
	})
	if err != nil {
		return nil, err
	}
	if hung.Load() {
		return protocol.Unfinished{Result: results}, nil
	}
	return results, nil
}

// validateWithin validates one object, and leaves the validation behind when its time is over: false.
func validateWithin(ctx context.Context, object []byte, one func([]byte) finding.Result) (finding.Result, bool) {
	done := make(chan finding.Result, 1)
	go func() { done <- guard(object, one) }()
	timer := time.NewTimer(objectTime)
	defer timer.Stop()
	select {
	case result := <-done:
		return result, true
	case <-timer.C:
	case <-ctx.Done():
	}
	late := fmt.Sprintf("the API server's validation took longer than %g seconds", objectTime.Seconds())
	return finding.Result{Crashed: true, Unchecked: late}, false
}

// guard turns a crash of a library into a result, so that the other objects are still validated.
func guard(object []byte, one func([]byte) finding.Result) (result finding.Result) {
	defer func() {
		if fault := recover(); fault != nil {
			result = finding.Result{Crashed: true, Unchecked: fmt.Sprintf("the API server's validation crashed: %v", fault)}
		}
	}()
	return one(object)
}

// kustomize builds kustomizations.
func (c *calls) kustomize(ctx context.Context, batch kustomize.Batch) (any, error) {
	return c.builds.Build(ctx, batch)
}
