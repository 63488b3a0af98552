// Package terraform parses Terraform files with HashiCorp's own parser, into the shape that conftest produces.
package terraform

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
)

// MaximumDepth bounds how deep the brackets of a file may nest: the parser calls itself for each.
const MaximumDepth = 500

// File is one file to parse.
type File struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

// Fault is the reason why a file cannot be parsed. Line and column count from 1; without a place, both are 0.
type Fault struct {
	Message string `json:"message"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
}

// Result is a file in conftest's shape as JSON, with the place of each block and attribute as lists of path, line and
// column in JSON, or a fault.
type Result struct {
	Value  string `json:"value,omitempty"`
	Places string `json:"places,omitempty"`
	Fault  *Fault `json:"fault,omitempty"`
}

// Parse parses one file. A file in JSON is only tested for its syntax.
func Parse(file File) (result Result) {
	if depth := measureDepth(file.Content); depth > MaximumDepth {
		return Result{Fault: &Fault{Message: fmt.Sprintf("brackets nest deeper than %d", MaximumDepth)}}
	}
	if strings.HasSuffix(file.Name, ".json") {
		_, faults := hcljson.Parse(file.Content, file.Name)
		return Result{Fault: findFault(file.Content, faults)}
	}
	source := bytes.TrimPrefix(file.Content, []byte("\ufeff"))
	parsed, faults := hclsyntax.ParseConfig(source, file.Name, hcl.InitialPos)
	if fault := findFault(source, faults); fault != nil {
		return Result{Fault: fault}
	}
	converter := &converter{source: source, lines: indexLines(source)}
	value, err := converter.convertBody(parsed.Body.(*hclsyntax.Body), "")
	if err != nil {
		return Result{Fault: err}
	}
	encoded, failure := appendValue(make([]byte, 0, 2*len(source)), value)
	if failure != nil {
		return Result{Fault: &Fault{Message: "a value cannot be written as JSON"}}
	}
	return Result{Value: string(encoded), Places: converter.places.encode()}
}

// quotedText is what the parser quotes from the file, which may be a secret, or one of its own longer examples.
var quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.){3,}"`)

// describe is the message of the parser without what it repeats of the file.
func describe(one *hcl.Diagnostic) string {
	detail, _, _ := strings.Cut(one.Detail, "\n")
	return one.Summary + ": " + quotedText.ReplaceAllString(detail, `"..."`)
}

// findFault is the first error of the parser.
func findFault(source []byte, faults hcl.Diagnostics) *Fault {
	for _, one := range faults {
		if one.Severity != hcl.DiagError {
			continue
		}
		fault := &Fault{Message: describe(one)}
		if one.Subject != nil {
			fault.Line, fault.Column = indexLines(source).locate(one.Subject.Start.Byte)
		}
		return fault
	}
	return nil
}

// measureDepth is how deep brackets nest, those in texts and comments included.
func measureDepth(source []byte) int {
	depth, most := 0, 0
	for _, letter := range source {
		switch letter {
		case '(', '[', '{':
			depth++
			most = max(most, depth)
		case ')', ']', '}':
			depth--
		}
	}
	return most
}
