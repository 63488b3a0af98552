// Command gotemplate fills Go templates and looks up paths in JSON, as external-secrets and sealed-secrets do, and takes
// away what jq expressions name, as Argo CD does.
//
// It reads requests as JSON from standard input, one after the other until that ends, and writes the answers to each as
// JSON to standard output; nothing that is secret is an argument, a file, or a message. The functions are those of
// external-secrets' own engine (package pkg/template/v2), or those of the sealed-secrets controller (sprig).
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	v2 "github.com/external-secrets/external-secrets/pkg/template/v2"
	v1 "github.com/external-secrets/legacy/pkg/template/v1"
	"github.com/itchyny/gojq"
	"github.com/tidwall/gjson"
)

// Request holds what is to be done.
type Request struct {
	// Engine is "external-secrets", whose templates must not name what is not there; "external-secrets-v1", its first
	// engine, which sees bytes and no texts; or "sealed-secrets".
	Engine string `json:"engine"`
	// Data is what templates see, by name; values are bytes.
	Data map[string][]byte `json:"data"`
	// Templates are filled one by one.
	Templates []string `json:"templates"`
	// Lookups are paths into JSON.
	Lookups []Lookup `json:"lookups"`
	// Renames are keys that a regular expression or a template gives new names.
	Renames []Rename `json:"renames"`
	// Removals are objects from which is taken away what jq expressions name.
	Removals []Removal `json:"removals"`
}

// Removal is an object, and jq expressions that name what is taken away from it.
type Removal struct {
	JSON        []byte   `json:"json"`
	Expressions []string `json:"expressions"`
}

// Lookup is a path into JSON. With Raw the answer is what stands there, numbers and texts in quotes included.
type Lookup struct {
	JSON []byte `json:"json"`
	Path string `json:"path"`
	Raw  bool   `json:"raw"`
}

// Rename gives each key a new name: by Source and Target as a regular expression, or by Template, which sees `value`.
type Rename struct {
	Keys     []string `json:"keys"`
	Source   string   `json:"source"`
	Target   string   `json:"target"`
	Template string   `json:"template"`
}

// Answer is a value, or where and in what a template failed. Found is false where a path leads nowhere.
type Answer struct {
	Value []byte   `json:"value,omitempty"`
	Names []string `json:"names,omitempty"`
	Found bool     `json:"found"`
	Fault string   `json:"fault,omitempty"`
}

// Reply has an answer for each template, lookup, rename and removal of a request.
type Reply struct {
	Templates []Answer `json:"templates"`
	Lookups   []Answer `json:"lookups"`
	Renames   []Answer `json:"renames"`
	Removals  []Answer `json:"removals"`
}

// mostTime is how long a jq expression may take, as in Argo CD.
const mostTime = time.Second

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
	reply := Reply{Templates: []Answer{}, Lookups: []Answer{}, Renames: []Answer{}, Removals: []Answer{}}
	for _, text := range request.Templates {
		reply.Templates = append(reply.Templates, fill(request.Engine, text, request.Data))
	}
	for _, lookup := range request.Lookups {
		found := gjson.GetBytes(lookup.JSON, lookup.Path)
		text := found.String()
		if lookup.Raw {
			text = found.Raw
		}
		reply.Lookups = append(reply.Lookups, Answer{Value: []byte(text), Found: found.Exists()})
	}
	for _, rename := range request.Renames {
		reply.Renames = append(reply.Renames, renamed(rename))
	}
	for _, removal := range request.Removals {
		reply.Removals = append(reply.Removals, removed(removal))
	}
	return reply
}

// removed takes away what expressions name. One that does not fit the object takes nothing away.
func removed(removal Removal) Answer {
	var value any
	if err := json.Unmarshal(removal.JSON, &value); err != nil {
		return Answer{Fault: "is no JSON"}
	}
	for _, text := range removal.Expressions {
		parsed, err := gojq.Parse("del(" + text + ")")
		if err != nil {
			return Answer{Fault: "`" + text + "` is no jq"}
		}
		code, err := gojq.Compile(parsed)
		if err != nil {
			return Answer{Fault: "`" + text + "` calls what there is not"}
		}
		limited, cancel := context.WithTimeout(context.Background(), mostTime)
		found, _ := code.RunWithContext(limited, value).Next()
		late := limited.Err() != nil
		cancel()
		if late {
			return Answer{Fault: "`" + text + "` takes longer than a second"}
		}
		if _, failed := found.(error); !failed && found != nil {
			value = found
		}
	}
	out, err := json.Marshal(value)
	if err != nil {
		return Answer{Fault: "gives no JSON"}
	}
	return Answer{Value: out, Found: true}
}

func functions(engine string) (template.FuncMap, string) {
	if engine == "sealed-secrets" {
		known := template.FuncMap(sprig.GenericFuncMap())
		delete(known, "env")
		delete(known, "expandenv")
		delete(known, "getHostByName")
		return known, "missingkey=default"
	}
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
	if rename.Template == "" {
		pattern, err := regexp.Compile(rename.Source)
		if err != nil {
			return Answer{Fault: "is no regular expression"}
		}
		for _, key := range rename.Keys {
			names = append(names, pattern.ReplaceAllString(key, rename.Target))
		}
		return Answer{Names: names, Found: true}
	}
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
