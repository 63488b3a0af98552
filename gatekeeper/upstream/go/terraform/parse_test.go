package terraform

import (
	"strings"
	"testing"
)

func TestNothingIsEvaluated(t *testing.T) {
	for source, want := range map[string]string{
		`a = 1`:    `{"a":1}`,
		`a = -1.5`: `{"a":-1.5}`,
		`a = [1e3, 2.50, 1e400, 1e-400, 123456789012345678901]`: `{"a":[1000,2.5,"${1e400}","${1e-400}",123456789012345678901]}`,
		`a = upper("x")`:              `{"a":"${upper(\"x\")}"}`,
		`a = "x${ b.c }y"`:            `{"a":"x${b.c}y"}`,
		`a = "$${b}%%{c}"`:            `{"a":"$${b}%%{c}"}`,
		`a = { null = 1, (b) = 2 }`:   `{"a":{"${(b)}":2,"null":1}}`,
		`a = "%{ if b }c%{ endif }d"`: `{"a":"%{if b}c%{endif}d"}`,
		"a \"b\" {}\na \"c\" {}":      `{"a":{"b":[{}],"c":[{}]}}`,
		"a = <<E\nb\nc\nE\n":          `{"a":"b\nc\n"}`,
		"\ufeffa = 1\r\nb = 2\r\n":    `{"a":1,"b":2}`,
	} {
		if got := Parse(File{"main.tf", []byte(source)}); got.Fault != nil || got.Value != want {
			t.Errorf("%s: got %s %v, want %s", source, got.Value, got.Fault, want)
		}
	}
}

func TestPlacesCountCharacters(t *testing.T) {
	got := Parse(File{"main.tf", []byte("/* é */ a = 1\nb \"c\" {\n  d = 1\n}\n")})
	want := `[[["a"],1,9],[["b"],2,1],[["b","c"],2,1],[["b","c",0],2,1],[["b","c",0,"d"],3,3]]`
	if got.Places != want {
		t.Errorf("got %s", got.Places)
	}
}

func TestFaultsHaveAPlaceAndRepeatNoText(t *testing.T) {
	for source, place := range map[string][2]int{
		"a = \n":                     {1, 5},
		"a = 1\nb = \"hunter2\n":     {2, 13},
		"a = 1\nhunter2 = \"\xff\"":  {2, 12},
		"a = \"%{ hunter2 }\"\n":     {1, 9},
		"hunter2 = 1\nhunter2 = 2\n": {2, 1},
		"hunter2 = 1\nhunter2 {}\n":  {2, 1},
	} {
		got := Parse(File{"main.tf", []byte(source)})
		if got.Fault == nil || strings.Contains(got.Fault.Message, "hunter2") {
			t.Errorf("%q: got %v", source, got.Fault)
		} else if got.Fault.Line != place[0] || got.Fault.Column != place[1] {
			t.Errorf("%q: got %d:%d", source, got.Fault.Line, got.Fault.Column)
		}
	}
}

func TestJSONIsTestedForItsSyntax(t *testing.T) {
	if got := Parse(File{"a.tf.json", []byte(`{"a": 1}`)}); got != (Result{}) {
		t.Errorf("got %v", got)
	}
	if got := Parse(File{"a.tf.json", []byte("{\"a\": 1,\n}")}); got.Fault == nil || got.Fault.Line != 1 {
		t.Errorf("got %v", got.Fault)
	}
}

func TestBracketsAreBounded(t *testing.T) {
	source := "a = " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000)
	if got := Parse(File{"main.tf", []byte(source)}); got.Fault == nil {
		t.Error("accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a = \"%{ for x in y }${x}%{ endfor }\"\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		if got := Parse(File{"main.tf", source}); (got.Fault == nil) == (got.Value == "") {
			t.Errorf("got %v", got)
		}
	})
}
