// Package health runs the Lua scripts that compute the health of live objects in Argo CD.
//
// Source: github.com/argoproj/argo-cd/v3/resource_customizations and util/lua.
package health

import (
	"context"
	"errors"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const (
	// scriptTime bounds one script, as in Argo CD.
	scriptTime       = time.Second
	maximumCallDepth = 256
	maximumStack     = 1 << 20
	maximumReason    = 200
)

// Object is a live object, and the script for it; without a script, that of Argo CD for its group and kind applies.
type Object struct {
	Group  string `json:"group"`
	Kind   string `json:"kind"`
	Object any    `json:"object"`
	Script string `json:"script"`
}

// Health is what the script returned, or the fault of the script. Known is false if there is no script.
type Health struct {
	Known   bool   `json:"known"`
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

// Evaluate runs the script of an object.
func Evaluate(ctx context.Context, object Object) Health {
	script := object.Script
	if script == "" {
		script = findScript(object.Group, object.Kind)
	}
	if script == "" {
		return Health{}
	}
	return run(ctx, script, object.Object)
}

func run(ctx context.Context, script string, object any) Health {
	state := lua.NewState(lua.Options{
		SkipOpenLibs: true, CallStackSize: maximumCallDepth, MinimizeStackMemory: true,
		RegistryMaxSize: maximumStack, RegistrySize: 1024,
	})
	defer state.Close()
	openLibraries(state)
	limited, cancel := context.WithTimeout(ctx, scriptTime)
	defer cancel()
	// The interpreter looks at the deadline before each instruction.
	state.SetContext(limited)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		if limited.Err() != nil {
			return Health{Known: true, Fault: "takes longer than a second"}
		}
		return Health{Known: true, Fault: "fails: " + reason(err)}
	}
	table, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		// A script may return nothing; then the object has no health.
		return Health{}
	}
	status, message := table.RawGetString("status"), table.RawGetString("message")
	return Health{Known: true, Status: lua.LVAsString(status), Message: lua.LVAsString(message)}
}

// reason is the message of the interpreter, which names the line of the script.
func reason(err error) string {
	var failure *lua.ApiError
	if !errors.As(err, &failure) || failure.Object == nil {
		return "it cannot be run"
	}
	text := failure.Object.String()
	return text[:min(len(text), maximumReason)]
}

// toLua converts JSON to the types of Lua.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, entry := range value {
			table.Append(toLua(state, entry))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, entry := range value {
			table.RawSetH(lua.LString(key), toLua(state, entry))
		}
		return table
	default:
		return lua.LNil
	}
}
