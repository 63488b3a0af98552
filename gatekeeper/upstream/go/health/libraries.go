package health

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maximumText bounds a text that one instruction creates, because the deadline does not interrupt an instruction.
const maximumText = 1 << 20

var (
	libraries = []struct {
		name string
		open lua.LGFunction
	}{
		{lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString},
		{lua.MathLibName, lua.OpenMath}, {lua.OsLibName, lua.OpenOs},
	}
	forbidden = []string{
		"dofile", "loadfile", "load", "loadstring", "module", "require", "newproxy", "collectgarbage",
	}
	permittedOfOs = map[string]bool{"time": true, "date": true, "clock": true, "difftime": true}
)

// openLibraries opens the libraries without the functions that reach files, programs or the environment.
func openLibraries(state *lua.LState) {
	for _, library := range libraries {
		state.Push(state.NewFunction(library.open))
		state.Push(lua.LString(library.name))
		state.Call(1, 0)
	}
	for _, name := range forbidden {
		state.SetGlobal(name, lua.LNil)
	}
	// The output of this process carries answers.
	state.SetGlobal("print", state.NewFunction(func(*lua.LState) int { return 0 }))
	state.SetGlobal("require", state.NewFunction(func(caller *lua.LState) int {
		caller.Push(caller.GetGlobal(caller.CheckString(1)))
		return 1
	}))
	if texts, isTable := state.GetGlobal(lua.StringLibName).(*lua.LTable); isTable {
		texts.RawSetString("rep", state.NewFunction(repeat))
	}
	if system, isTable := state.GetGlobal(lua.OsLibName).(*lua.LTable); isTable {
		removeOthers(system, permittedOfOs)
	}
}

func removeOthers(table *lua.LTable, permitted map[string]bool) {
	others := []lua.LValue{}
	table.ForEach(func(key, _ lua.LValue) {
		if !permitted[key.String()] {
			others = append(others, key)
		}
	})
	for _, key := range others {
		table.RawSet(key, lua.LNil)
	}
}

// repeat is `string.rep` with a bound.
func repeat(state *lua.LState) int {
	text, count := state.CheckString(1), max(state.CheckInt(2), 0)
	if len(text) > 0 && count > maximumText/len(text) {
		state.RaiseError("string.rep returns more than %d bytes", maximumText)
	}
	state.Push(lua.LString(strings.Repeat(text, count)))
	return 1
}
