// Package expressions evaluates templates, paths, patterns and jq with the libraries that controllers use for them.
//
// Values may be secret: an error never contains one.
package expressions

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"github.com/itchyny/gojq"
	"github.com/tidwall/gjson"
)

// expressionTime bounds one jq expression, as in Argo CD.
const expressionTime = time.Second

// Removal is an object, and jq expressions that name the fields to remove.
type Removal struct {
	JSON        []byte   `json:"json"`
	Expressions []string `json:"expressions"`
}

// Lookup is a path into JSON. With Raw the result is the JSON text of the value.
type Lookup struct {
	JSON []byte `json:"json"`
	Path string `json:"path"`
	Raw  bool   `json:"raw"`
}

// Rename gives each key a new name by a regular expression.
type Rename struct {
	Keys   []string `json:"keys"`
	Source string   `json:"source"`
	Target string   `json:"target"`
}

// Answer is a value or names, or a fault. Found is false if a path leads nowhere.
type Answer struct {
	Value []byte   `json:"value,omitempty"`
	Names []string `json:"names,omitempty"`
	Found bool     `json:"found"`
	Fault string   `json:"fault,omitempty"`
}

// Find looks up a path, as external-secrets does.
func (l Lookup) Find() Answer {
	found := gjson.GetBytes(l.JSON, l.Path)
	text := found.String()
	if l.Raw {
		text = found.Raw
	}
	return Answer{Value: []byte(text), Found: found.Exists()}
}

// Apply renames the keys, as external-secrets does.
func (r Rename) Apply() Answer {
	pattern, err := regexp.Compile(r.Source)
	if err != nil {
		return Answer{Fault: "is no regular expression"}
	}
	names := make([]string, 0, len(r.Keys))
	for _, key := range r.Keys {
		names = append(names, pattern.ReplaceAllString(key, r.Target))
	}
	return Answer{Names: names, Found: true}
}

// Apply removes the fields, as Argo CD's ignoreDifferences does. An expression that does not fit removes nothing.
func (r Removal) Apply(ctx context.Context) Answer {
	var value any
	if err := json.Unmarshal(r.JSON, &value); err != nil {
		return Answer{Fault: "is no JSON"}
	}
	for _, text := range r.Expressions {
		parsed, err := gojq.Parse("del(" + text + ")")
		if err != nil {
			return Answer{Fault: "`" + text + "` is no jq"}
		}
		code, err := gojq.Compile(parsed)
		if err != nil {
			return Answer{Fault: "`" + text + "` calls a function that is not defined"}
		}
		limited, cancel := context.WithTimeout(ctx, expressionTime)
		result, _ := code.RunWithContext(limited, value).Next()
		late := limited.Err() != nil
		cancel()
		if late {
			return Answer{Fault: "`" + text + "` takes longer than a second"}
		}
		if _, failed := result.(error); !failed && result != nil {
			value = result
		}
	}
	output, err := json.Marshal(value)
	if err != nil {
		return Answer{Fault: "gives no JSON"}
	}
	return Answer{Value: output, Found: true}
}
