// Package substitution substitutes variables in objects, as the postBuild of a Flux Kustomization does.
//
// Source: fluxcd/pkg kustomize/kustomize_varsub.go: an object is written as YAML, substituted as text, and read again.
package substitution

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"github.com/fluxcd/pkg/envsubst/parse"
	"sigs.k8s.io/yaml"
)

// Result has the object after the substitution, or the reason for its failure; neither if nothing changes.
type Result struct {
	Object json.RawMessage `json:"object,omitempty"`
	Fault  string          `json:"fault,omitempty"`
}

// Substitute substitutes variables in one object. A reference to a variable without a value stays as it is written,
// where Flux would write nothing.
func Substitute(object json.RawMessage, variables map[string]string) (result Result) {
	defer func() {
		if fault := recover(); fault != nil {
			result = Result{Fault: fmt.Sprintf("the substitution crashed: %T", fault)}
		}
	}()
	// kustomize writes JSON with these escapes.
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, object)
	text, err := yaml.JSONToYAML(escaped.Bytes())
	if err != nil {
		return Result{Fault: hideValues(err)}
	}
	substituted, err := Expand(string(text), variables)
	if err != nil {
		return Result{Fault: err.Error()}
	}
	if substituted == string(text) {
		return Result{}
	}
	after, err := yaml.YAMLToJSON([]byte(substituted))
	if err != nil {
		return Result{Fault: hideValues(err)}
	}
	return Result{Object: after}
}

// values are the parts of messages of the YAML parser that show what it read: a value of a variable can be secret.
var values = regexp.MustCompile("(?s)'.*'|`.*`|invalid map key: .*")

func hideValues(err error) string { return values.ReplaceAllString(err.Error(), "(hidden)") }

// Expand substitutes variables in a text.
func Expand(text string, variables map[string]string) (string, error) {
	tree, err := parse.Parse(text)
	if err != nil {
		return "", err
	}
	if !lacksValue(tree.Root, variables) {
		return expandPart(text, variables)
	}
	var out strings.Builder
	for _, part := range split(text) {
		tree, err := parse.Parse(part)
		if err != nil {
			return "", err
		}
		if !lacksValue(tree.Root, variables) {
			if part, err = expandPart(part, variables); err != nil {
				return "", err
			}
		}
		out.WriteString(part)
	}
	return out.String(), nil
}

func expandPart(text string, variables map[string]string) (string, error) {
	return envsubst.Eval(text, func(name string) (string, bool) { return variables[name], true })
}

// lacksValue reports whether the result depends on a variable without a value.
func lacksValue(node parse.Node, variables map[string]string) bool {
	switch node := node.(type) {
	case *parse.ListNode:
		for _, inner := range node.Nodes {
			if lacksValue(inner, variables) {
				return true
			}
		}
	case *parse.FuncNode:
		value, known := variables[node.Param]
		if hasDefault(node.Name) {
			if value != "" {
				return false
			}
		} else if !known {
			return true
		}
		for _, argument := range node.Args {
			if lacksValue(argument, variables) {
				return true
			}
		}
	}
	return false
}

// hasDefault reports whether a function provides a default value.
func hasDefault(function string) bool {
	switch function {
	case "=", ":=", ":-", ":?", ":+":
		return true
	}
	return false
}

// split returns the parts of a text that parses: the references and what is between them.
func split(text string) []string {
	var parts []string
	start := 0
	for place := 0; place < len(text); {
		switch {
		case strings.HasPrefix(text[place:], "$$"):
			place += 2
		case strings.HasPrefix(text[place:], "${"):
			parts = append(parts, text[start:place])
			start = place
			place = findEnd(text, place)
			parts = append(parts, text[start:place])
			start = place
		default:
			place++
		}
	}
	return append(parts, text[start:])
}

// findEnd returns the end of the reference that starts at a place: the first brace up to which it parses.
func findEnd(text string, start int) int {
	for end := start; end < len(text); end++ {
		if text[end] == '}' {
			if _, err := parse.Parse(text[start : end+1]); err == nil {
				return end + 1
			}
		}
	}
	return len(text)
}
