// Package suites runs Kyverno's own test command on test suites (kyverno-test.yaml).
package suites

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	command "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/commands/test"
)

// Suite is a file with tests.
type Suite struct {
	Path string `json:"path"`
}

// Case is one expected result with what came out.
type Case struct {
	Policy   string `json:"POLICY"`
	Rule     string `json:"RULE"`
	Resource string `json:"RESOURCE"`
	Result   string `json:"RESULT"`
	Reason   string `json:"REASON"`
	Message  string `json:"MESSAGE"`
}

// Outcome is the result of a suite.
type Outcome struct {
	Cases []Case `json:"cases"`
	// Fault is why the suite could not be run; empty if it was.
	Fault string `json:"fault"`
}

var failed = regexp.MustCompile(`^\d+ tests failed$`)

// Run runs the suite.
func (s *Suite) Run() (Outcome, error) {
	var output bytes.Buffer
	run := command.Command()
	run.SetOut(&output)
	run.SetErr(&output)
	run.SilenceErrors = true
	run.SetArgs([]string{
		filepath.Dir(s.Path), "--file-name", filepath.Base(s.Path), "--output-format", "json", "--detailed-results",
		"--require-tests",
	})
	err := run.Execute()
	outcome := Outcome{}
	cases, noTable := readCases(output.String())
	outcome.Cases = cases
	if err != nil && !failed.MatchString(err.Error()) {
		outcome.Fault = describe(err, output.String())
	} else if noTable != nil {
		return outcome, fmt.Errorf("Kyverno's test command answered something that is no answer: %w", noTable)
	}
	return outcome, nil
}

var unreadable = regexp.MustCompile(`(?m)^    Error: (.*)$`)

// describe is the reason of an error; that of a suite that cannot be read is in the output.
func describe(err error, output string) string {
	text := err.Error()
	if found := unreadable.FindStringSubmatch(output); found != nil && strings.HasPrefix(text, "found ") {
		text = found[1]
	}
	return strings.Join(strings.Fields(text), " ")
}

// readCases reads the table of results, which follows other lines.
func readCases(text string) ([]Case, error) {
	start := strings.Index(text, "\n[\n")
	if start < 0 {
		start = strings.Index(text, "\n[{")
	}
	if start < 0 {
		return nil, fmt.Errorf("it has no table")
	}
	var cases []Case
	err := json.NewDecoder(strings.NewReader(text[start:])).Decode(&cases)
	return cases, err
}
