package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gatekeeper/upstream/finding"
	"gatekeeper/upstream/parallel"
	"gatekeeper/upstream/protocol"
)

// objectTime is how long the validation of one object may take; it usually takes less than a millisecond.
var objectTime = 10 * time.Second

// validation requests the validation of objects of one kind.
type validation struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Definition json.RawMessage `json:"definition"`
	Markers    []string        `json:"markers"`
	// The objects are not decoded with the rest, which would read each of them twice more.
	Objects []json.RawMessage `json:"-"`
}

// decodeValidation decodes a payload that is valid JSON.
func decodeValidation(payload json.RawMessage) (validation, error) {
	var batch validation
	fields := map[string]json.RawMessage{}
	gjson.ParseBytes(payload).ForEach(func(name, value gjson.Result) bool {
		if name.String() != "objects" {
			fields[name.String()] = json.RawMessage(value.Raw)
			return true
		}
		value.ForEach(func(_, object gjson.Result) bool {
			batch.Objects = append(batch.Objects, json.RawMessage(object.Raw))
			return true
		})
		return true
	})
	rest, err := json.Marshal(fields)
	if err != nil {
		return validation{}, err
	}
	return batch, json.Unmarshal(rest, &batch)
}

// validate returns a result for each object, in their order.
func (c *calls) validate(ctx context.Context, payload json.RawMessage) (any, error) {
	batch, err := decodeValidation(payload)
	if err != nil {
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
	idle := make(chan *validationLoop, len(objects))
	var hung atomic.Bool
	err := parallel.ForEach(ctx, len(objects), func(number int) {
		loop := takeLoop(idle, one)
		result, ended := loop.validateWithin(ctx, objects[number])
		results[number] = result
		if ended {
			idle <- loop
		} else {
			loop.end()
			hung.Store(true)
		}
	})
	close(idle)
	for loop := range idle {
		loop.end()
	}
	if err != nil {
		return nil, err
	}
	if hung.Load() {
		return protocol.Unfinished{Result: results}, nil
	}
	return results, nil
}

// validationLoop validates objects one after another in a goroutine of its own: a goroutine for each object would have
// to grow its stack again each time.
type validationLoop struct {
	objects chan []byte
	results chan finding.Result
}

func takeLoop(idle chan *validationLoop, one func([]byte) finding.Result) *validationLoop {
	select {
	case loop := <-idle:
		return loop
	default:
	}
	// The goroutine can always leave a result, also after the caller has stopped waiting.
	loop := &validationLoop{objects: make(chan []byte), results: make(chan finding.Result, 1)}
	go func() {
		for object := range loop.objects {
			loop.results <- guard(object, one)
		}
	}()
	return loop
}

// end ends the goroutine, after the object that it validates.
func (l *validationLoop) end() { close(l.objects) }

// validateWithin validates one object, and leaves the validation behind when its time is over: false.
func (l *validationLoop) validateWithin(ctx context.Context, object []byte) (finding.Result, bool) {
	l.objects <- object
	timer := time.NewTimer(objectTime)
	defer timer.Stop()
	select {
	case result := <-l.results:
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
