// Command luahealth says how well objects of a cluster are, by the scripts that Argo CD has for their kinds.
//
// It reads requests as JSON from standard input, one after the other until that ends, and writes an answer to each as
// JSON to standard output. A script sees one object, has a second, and neither files nor programs nor an environment.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"
	"time"

	scripts "github.com/argoproj/argo-cd/v3/resource_customizations"
	lua "github.com/yuin/gopher-lua"
)

// Request is an object, with the script that judges it; without one, that of Argo CD for its group and kind.
type Request struct {
	Group  string `json:"group"`
	Kind   string `json:"kind"`
	Object any    `json:"object"`
	Script string `json:"script"`
}

// Answer is how well an object is; or why that could not be found out. Known is false where there is no script.
type Answer struct {
	Known   bool   `json:"known"`
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

const (
	// mostMemory is what it may take, in bytes.
	mostMemory = 512 << 20
	// mostTime is how long a script may take, as in Argo CD.
	mostTime = time.Second
	file     = "health.lua"
)

func main() {
	limit := syscall.Rlimit{Cur: mostMemory, Max: mostMemory}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		fmt.Fprintln(os.Stderr, "luahealth: its memory cannot be limited")
		os.Exit(2)
	}
	patterns := wide()
	decoder, encoder := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var request Request
		err := decoder.Decode(&request)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "luahealth: the request is no JSON")
			os.Exit(2)
		}
		if err := encoder.Encode(answer(request, patterns)); err != nil {
			os.Exit(2)
		}
	}
}

// wide lists the folders of scripts for many kinds, in which `_` stands for anything.
func wide() []string {
	found := []string{}
	_ = fs.WalkDir(scripts.Embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && path.Base(name) == file && strings.Contains(path.Dir(name), "_") {
			found = append(found, path.Dir(name))
		}
		return err
	})
	sort.Strings(found)
	return found
}

func answer(request Request, patterns []string) Answer {
	script := request.Script
	if script == "" {
		script = own(request.Group, request.Kind, patterns)
	}
	if script == "" {
		return Answer{}
	}
	return judged(script, request.Object)
}

// own is Argo CD's script for a kind; empty where it has none.
func own(group, kind string, patterns []string) string {
	key := path.Join(group, kind)
	if text, err := scripts.Embedded.ReadFile(path.Join(key, file)); err == nil {
		return string(text)
	}
	for _, pattern := range patterns {
		if fits, _ := path.Match(strings.ReplaceAll(pattern, "_", "*"), key); fits {
			text, _ := scripts.Embedded.ReadFile(path.Join(pattern, file))
			return string(text)
		}
	}
	return ""
}

func judged(script string, object any) Answer {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	open(state)
	limited, cancel := context.WithTimeout(context.Background(), mostTime)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", lifted(state, object))
	if err := state.DoString(script); err != nil {
		if limited.Err() != nil {
			return Answer{Known: true, Fault: "takes longer than a second"}
		}
		return Answer{Known: true, Fault: "fails: " + reason(err)}
	}
	table, is := state.Get(-1).(*lua.LTable)
	if !is {
		// A script that returns nothing says nothing.
		return Answer{}
	}
	return Answer{Known: true, Status: lua.LVAsString(table.RawGetString("status")), Message: lua.LVAsString(table.RawGetString("message"))}
}

// reason is where a script fails; without what it was working on.
func reason(err error) string {
	var failed *lua.ApiError
	if errors.As(err, &failed) && failed.Object != nil {
		text := failed.Object.String()
		if len(text) > 200 {
			text = text[:200]
		}
		return text
	}
	return "it cannot be run"
}

// open gives a script what it may use.
func open(state *lua.LState) {
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString},
		{lua.MathLibName, lua.OpenMath}, {lua.OsLibName, lua.OpenOs},
	} {
		state.Push(state.NewFunction(library.open))
		state.Push(lua.LString(library.name))
		state.Call(1, 0)
	}
	for _, name := range []string{"dofile", "loadfile", "load", "loadstring", "module", "require", "newproxy", "collectgarbage"} {
		state.SetGlobal(name, lua.LNil)
	}
	// What it would print stands where the answers do.
	state.SetGlobal("print", state.NewFunction(func(*lua.LState) int { return 0 }))
	state.SetGlobal("require", state.NewFunction(func(own *lua.LState) int {
		own.Push(own.GetGlobal(own.CheckString(1)))
		return 1
	}))
	system, _ := state.GetGlobal(lua.OsLibName).(*lua.LTable)
	kept := map[string]bool{"time": true, "date": true, "clock": true, "difftime": true}
	drop := []lua.LValue{}
	system.ForEach(func(key, _ lua.LValue) {
		if !kept[key.String()] {
			drop = append(drop, key)
		}
	})
	for _, key := range drop {
		system.RawSet(key, lua.LNil)
	}
}

// lifted is JSON as Lua sees it.
func lifted(state *lua.LState, value any) lua.LValue {
	switch held := value.(type) {
	case bool:
		return lua.LBool(held)
	case float64:
		return lua.LNumber(held)
	case string:
		return lua.LString(held)
	case []any:
		table := state.CreateTable(len(held), 0)
		for _, one := range held {
			table.Append(lifted(state, one))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(held))
		for key, one := range held {
			table.RawSetH(lua.LString(key), lifted(state, one))
		}
		return table
	default:
		return lua.LNil
	}
}
