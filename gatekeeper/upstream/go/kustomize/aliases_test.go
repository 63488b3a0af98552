package kustomize

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// bomb is a text in which each of some levels has ten aliases of the level below.
func bomb(levels int) string {
	lines := []string{"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"}
	for level := 1; level < levels; level++ {
		alias := fmt.Sprintf("*a%d", level-1)
		lines = append(lines, fmt.Sprintf("a%d: &a%d [%s]", level, level, strings.Join(slices.Repeat([]string{alias}, 10), ", ")))
	}
	return strings.Join(lines, "\n") + "\n"
}

func slicesRepeat(text string, count int) []string {
	return strings.Fields(strings.Repeat(text+" ", count))
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

func TestCheckAliases(t *testing.T) {
	const refused = "aliases expand to more than 100000 values"
	for text, expected := range map[string]string{
		bomb(3):                 "",
		bomb(40):                refused,
		"a: b\n---\n" + bomb(9): refused,
		"patches:\n- patch: |\n" + indent(indent(bomb(9))): refused,
		"a: |\n" + indent("b: |\n"+indent(bomb(9))):        refused,
		"a: |\n" + indent(bomb(2)):                         "",
		"a: &a [*a]\n":                                     "an anchor contains itself",
		"a: &a {b: &b [*a, *b]}\n":                         "an anchor contains itself",
		"a: &a\nb: *a\nc: *none\n":                         "",
		"run: |\n  a & b && c *x\n":                        "",
		"not: [valid &a *a":                                "",
		`{"patches": [{"patch": "` + strings.ReplaceAll(bomb(9), "\n", `\n`) + `"}]}`: refused,
	} {
		found := ""
		if err := checkAliases([]byte(text)); err != nil {
			found = err.Error()
		}
		if found != expected {
			t.Errorf("%q instead of %q for %.60q", found, expected, text)
		}
	}
}
