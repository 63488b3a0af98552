package expressions

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

var (
	place    = regexp.MustCompile(`^template: template:(\d+(?::\d+)?): `)
	unknown  = regexp.MustCompile(`function "(\w+)" not defined`)
	failedIn = regexp.MustCompile(`error calling (\w+):`)
)

// Fill fills a template with sprig's functions, as the sealed-secrets controller does.
func Fill(text string, data map[string]string) Answer {
	functions := template.FuncMap(sprig.GenericFuncMap())
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name)
	}
	parsed, err := template.New("template").Option("missingkey=default").Funcs(functions).Parse(text)
	if err != nil {
		return Answer{Fault: describe(err)}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, data); err != nil {
		return Answer{Fault: describe(err)}
	}
	return Answer{Value: output.Bytes(), Found: true}
}

// describe names the place and the function that failed, and nothing else, which may be part of a value.
func describe(err error) string {
	words, where := err.Error(), ""
	var failed template.ExecError
	isExecution := errors.As(err, &failed)
	if isExecution {
		words = failed.Err.Error()
	}
	if found := place.FindStringSubmatch(words); found != nil {
		where = " (line " + strings.Replace(found[1], ":", ", column ", 1) + ")"
	}
	if found := unknown.FindStringSubmatch(words); found != nil {
		return "calls `" + found[1] + "`, which there is not" + where
	}
	if found := failedIn.FindStringSubmatch(words); found != nil {
		return "fails in `" + found[1] + "`" + where
	}
	if isExecution {
		return "cannot be filled" + where
	}
	return "is no template of Go" + where
}
