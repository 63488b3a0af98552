package substitution

import (
	"math/rand"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/envsubst"
)

// signs are what references are written with; random texts of them parse often enough.
var signs = []string{
	"$", "$$", "${", "}", "${A}", "${B}", "${U}", "A", "B", "U", ":-", ":=", "=", ":", "/", "//", "/#", "/%", "#", "##",
	"%", "%%", "^", "^^", ",", ",,", "\\", "\\/", " ", "1", "-1", "*", "?", "[a-c]", "é", "x", "\n", ".", "{", "_",
}

func randomText(random *rand.Rand) string {
	var text strings.Builder
	for range random.Intn(16) {
		text.WriteString(signs[random.Intn(len(signs))])
	}
	return text.String()
}

// evaluate is Flux's own evaluation; a crash of it (a negative length) is an error, as in Substitute.
func evaluate(text string, variables map[string]string) (result string, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	result, err := envsubst.Eval(text, func(name string) (string, bool) { return variables[name], true })
	return result, err == nil
}

// The parts of a text have together the value of the text, so that one part can stay as it is.
func TestPartsHaveTogetherTheValueOfTheText(t *testing.T) {
	random := rand.New(rand.NewSource(18))
	variables := map[string]string{"A": "Hello a/b", "B": "", "U": "été"}
	compared := 0
	for range 200_000 {
		text := randomText(random)
		whole, ok := evaluate(text, variables)
		if !ok {
			continue
		}
		var joined strings.Builder
		for _, part := range split(text) {
			value, ok := evaluate(part, variables)
			if !ok {
				t.Fatalf("%q: the part %q cannot be evaluated", text, part)
			}
			joined.WriteString(value)
		}
		if joined.String() != whole {
			t.Fatalf("%q: the parts %q are %q, the text is %q", text, split(text), joined.String(), whole)
		}
		compared++
	}
	if compared < 20_000 {
		t.Fatalf("only %d texts were compared", compared)
	}
}

func TestAReferenceWithoutAValueStays(t *testing.T) {
	variables := map[string]string{"A": "Hello", "B": ""}
	for text, expected := range map[string]string{
		"${A} ${U}":           "Hello ${U}",
		"$${A} ${U} $$":       "${A} ${U} $",
		"${U:-x}":             "x",
		"${U:-${A}} ${U^^}":   "Hello ${U^^}",
		"${A:-${U}} ${U}":     "Hello ${U}",
		"${B:-${U}}":          "${B:-${U}}",
		"${U/}/x} ${A/l/}":    "${U/}/x} Helo",
		"${#U}${#A}":          "${#U}5",
		"${A/${U}/x}|${A}":    "${A/${U}/x}|Hello",
		"${U:1:2}${A:1:2}":    "${U:1:2}el",
		"no variable":         "no variable",
		"${A":                 "missing closing brace",
		"${}":                 "unable to parse variable name",
		"${BASH_SOURCE[0]} x": "missing closing brace",
	} {
		found, err := Expand(text, variables)
		if err != nil {
			found = err.Error()
		}
		if found != expected {
			t.Errorf("%q: %q, not %q", text, found, expected)
		}
	}
}

func TestAnObjectIsReadAgain(t *testing.T) {
	object := []byte(`{"a":"${A}","b":"x","c":1.5,"d":"${U}"}`)
	for value, expected := range map[string]string{
		"3":    `{"a":3,"b":"x","c":1.5,"d":"${U}"}`,
		"[1]":  `{"a":[1],"b":"x","c":1.5,"d":"${U}"}`,
		"null": `{"a":null,"b":"x","c":1.5,"d":"${U}"}`,
		"${A}": "",
	} {
		result := Substitute(object, map[string]string{"A": value})
		if string(result.Object) != expected || result.Fault != "" {
			t.Errorf("%q: %q (%s), not %q", value, result.Object, result.Fault, expected)
		}
	}
	for _, value := range []string{
		"*hunter2", "a: hunter2", "'hunter2", ".inf", "&hunter2 [*hunter2]", "!!int hunter2", "{[hunter2]: b}",
	} {
		result := Substitute(object, map[string]string{"A": value})
		if result.Fault == "" || strings.Contains(result.Fault, "hunter2") {
			t.Errorf("%q: %q, fault %q", value, result.Object, result.Fault)
		}
	}
}
