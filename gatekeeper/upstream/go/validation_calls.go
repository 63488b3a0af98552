package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gatekeeper/upstream/customresource"
	"gatekeeper/upstream/finding"
	"gatekeeper/upstream/parallel"
	"gatekeeper/upstream/protocol"
)

// objectTime is how long the validation of one object may take; it usually takes less than a millisecond.
var objectTime = 10 * time.Second

// validation requests the validation of objects of one kind. Neither they nor their definition are decoded with it,
// which would read each of them twice more.
type validation struct {
	APIVersion, Kind string
	Definition       json.RawMessage
	Markers          []string
	Objects          []json.RawMessage
}

// decodeValidation decodes a payload that is valid JSON.
func decodeValidation(payload json.RawMessage) validation {
	var batch validation
	gjson.ParseBytes(payload).ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "apiVersion":
			batch.APIVersion = value.String()
		case "kind":
			batch.Kind = value.String()
		case "definition":
			batch.Definition = json.RawMessage(value.Raw)
		case "markers":
			for _, marker := range value.Array() {
				batch.Markers = append(batch.Markers, marker.String())
			}
		case "objects":
			value.ForEach(func(_, object gjson.Result) bool {
				batch.Objects = append(batch.Objects, json.RawMessage(object.Raw))
				return true
			})
		}
		return true
	})
	return batch
}

// validate returns a result for each object, in their order.
func (c *calls) validate(ctx context.Context, payload json.RawMessage) (any, error) {
	batch := decodeValidation(payload)
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
		// Inside of a validation, because a definition can take long or crash as well.
		open := sync.OnceValues(func() (*customresource.Kind, error) { return c.custom.Open(batch.Definition) })
		one = func(object []byte) finding.Result {
			kind, err := open()
			if err != nil {
				return finding.Result{Unchecked: err.Error()}
			}
			return kind.Validate(ctx, object)
		}
	}
	return validateAll(ctx, batch.Objects, one)
}

// validateAll validates objects on all cores. One that takes too long fails alone.
func validateAll(
	ctx context.Context, objects []json.RawMessage, one func([]byte) finding.Result,
) (any, error) {
	idle := make(chan *validationLoop, len(objects))
	var hung atomic.Bool
	results, err := parallel.Map(ctx, objects, func(object json.RawMessage) finding.Result {
		loop := takeLoop(idle, one)
		result, ended := loop.validateWithin(ctx, object)
		if ended {
			idle <- loop
		} else {
			loop.end()
			hung.Store(true)
		}
		return result
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
