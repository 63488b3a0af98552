// Command gotemplate fills Go templates as external-secrets does.
//
// It reads requests as JSON from standard input, one after the other until that ends, and writes the answers to each as
// JSON to standard output; nothing that is secret is an argument, a file, or a message. The functions are those of
// external-secrets' own engines (packages pkg/template/v2 and v1). They are a program of their own, because they do not
// compile with the versions of Kubernetes' libraries that gatekeeper-upstream has.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"text/template"

	v2 "github.com/external-secrets/external-secrets/pkg/template/v2"
	v1 "github.com/external-secrets/legacy/pkg/template/v1"
)

// Request holds what is to be done.
type Request struct {
	// Engine is "external-secrets", whose templates fail on a missing key; or "external-secrets-v1", its first
	// engine, which sees bytes and no texts.
	Engine string `json:"engine"`
	// Data is what templates see, by name; values are bytes.
	Data map[string][]byte `json:"data"`
	// Templates are filled one by one.
	Templates []string `json:"templates"`
	// Renames are keys that a template gives new names.
	Renames []Rename `json:"renames"`
}

// Rename gives each key a new name by a template, which sees `value`.
type Rename struct {
	Keys     []string `json:"keys"`
	Template string   `json:"template"`
}

// Answer is a value, or where and in what a template failed.
type Answer struct {
	Value []byte   `json:"value,omitempty"`
	Names []string `json:"names,omitempty"`
	Found bool     `json:"found"`
	Fault string   `json:"fault,omitempty"`
}

// Reply has an answer for each template and rename of a request.
type Reply struct {
	Templates []Answer `json:"templates"`
	Renames   []Answer `json:"renames"`
}

// mostMemory is what it may take, in bytes: a template that asks for more ends the program, and not the machine.
const mostMemory = 512 << 20

func main() {
	limit := syscall.Rlimit{Cur: mostMemory, Max: mostMemory}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		fmt.Fprintln(os.Stderr, "gotemplate: its memory cannot be limited")
		os.Exit(2)
	}
	decoder, encoder := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var request Request
		err := decoder.Decode(&request)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "gotemplate: the request is no JSON")
			os.Exit(2)
		}
		if err := encoder.Encode(answer(request)); err != nil {
			os.Exit(2)
		}
	}
}

func answer(request Request) Reply {
	reply := Reply{Templates: []Answer{}, Renames: []Answer{}}
	for _, text := range request.Templates {
		reply.Templates = append(reply.Templates, fill(request.Engine, text, request.Data))
	}
	for _, rename := range request.Renames {
		reply.Renames = append(reply.Renames, renamed(rename))
	}
	return reply
}

func functions(engine string) (template.FuncMap, string) {
	known := template.FuncMap{}
	if engine == "external-secrets-v1" {
		return template.FuncMap(v1.FuncMap()), "missingkey=error"
	}
	for name, function := range v2.FuncMap() {
		known[name] = function
	}
	// A template must not look names up on the network, and not read Secrets of any namespace with our own rights.
	delete(known, "getHostByName")
	delete(known, "getSecretKey")
	return known, "missingkey=error"
}

func fill(engine, text string, data map[string][]byte) Answer {
	known, missing := functions(engine)
	if engine == "external-secrets-v1" {
		return execute(known, missing, text, data)
	}
	seen := make(map[string]string, len(data))
	for key, value := range data {
		seen[key] = string(value)
	}
	return execute(known, missing, text, seen)
}

func execute(known template.FuncMap, missing, text string, seen any) Answer {
	parsed, err := template.New("template").Option(missing).Funcs(known).Parse(text)
	if err != nil {
		return Answer{Fault: fault(err)}
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, seen); err != nil {
		return Answer{Fault: fault(err)}
	}
	return Answer{Value: out.Bytes(), Found: true}
}

func renamed(rename Rename) Answer {
	names := make([]string, 0, len(rename.Keys))
	known, _ := functions("external-secrets")
	for _, key := range rename.Keys {
		answer := execute(known, "missingkey=default", rename.Template, map[string]string{"value": key})
		if !answer.Found {
			return answer
		}
		names = append(names, string(answer.Value))
	}
	return Answer{Names: names, Found: true}
}

var (
	place    = regexp.MustCompile(`^template: template:(\d+(?::\d+)?): `)
	unknown  = regexp.MustCompile(`function "(\w+)" not defined`)
	lacking  = regexp.MustCompile(`map has no entry for key "([^"]+)"`)
	failedIn = regexp.MustCompile(`error calling (\w+):`)
)

// fault tells where a template fails and in what, and leaves out all else, for that may repeat a value.
func fault(err error) string {
	words := err.Error()
	where := ""
	var failed template.ExecError
	if errors.As(err, &failed) {
		words = failed.Err.Error()
	}
	if found := place.FindStringSubmatch(words); found != nil {
		where = " (line " + strings.Replace(found[1], ":", ", column ", 1) + ")"
	}
	switch {
	case unknown.MatchString(words):
		return "calls `" + unknown.FindStringSubmatch(words)[1] + "`, which there is not" + where
	case lacking.MatchString(words):
		return "names `" + lacking.FindStringSubmatch(words)[1] + "`, which there is not" + where
	case failedIn.MatchString(words):
		return "fails in `" + failedIn.FindStringSubmatch(words)[1] + "`" + where
	case errors.As(err, &failed):
		return "cannot be filled" + where
	default:
		return "is no template of Go" + where
	}
}
