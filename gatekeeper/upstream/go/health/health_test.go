package health

import (
	"context"
	"strings"
	"testing"
)

func TestScripts(t *testing.T) {
	for name, test := range map[string]struct {
		object Object
		want   Health
	}{
		"no script": {Object{Group: "example.com", Kind: "Widget"}, Health{}},
		"own script": {
			Object{Script: `return {status = obj.status.phase, message = "m"}`, Object: map[string]any{"status": map[string]any{"phase": "Healthy"}}},
			Health{Known: true, Status: "Healthy", Message: "m"},
		},
		"nothing":        {Object{Script: `return nil`}, Health{}},
		"endless":        {Object{Script: `while true do end`}, Health{Known: true, Fault: "takes longer than a second"}},
		"no files":       {Object{Script: `return {status = tostring(io) .. tostring(os.execute) .. tostring(dofile)}`}, Health{Known: true, Status: "nilnilnil"}},
		"Argo CD's":      {Object{Group: "apps", Kind: "none"}, Health{}},
		"repeat":         {Object{Script: `return {status = string.rep("ab", 2) .. ("x"):rep(-1)}`}, Health{Known: true, Status: "abab"}},
		"print is quiet": {Object{Script: `print("x") return {status = "Healthy"}`}, Health{Known: true, Status: "Healthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Evaluate(context.Background(), test.object); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for script, want := range map[string]string{
		`return {status = string.rep("x", 1e9)}`:             "string.rep returns more than",
		`local function f() return 1 + f() end return f()`:   "stack overflow",
		`error("the widget is broken")`:                      "the widget is broken",
		`return {`:                                           "fails: ",
		`return {status = obj.metadata.name .. obj.missing}`: "fails: ",
	} {
		got := Evaluate(context.Background(), Object{Script: script, Object: map[string]any{}})
		if !got.Known || !strings.Contains(got.Fault, want) {
			t.Errorf("%s: %+v", script, got)
		}
	}
}
