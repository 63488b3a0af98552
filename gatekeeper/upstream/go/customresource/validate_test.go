package customresource

import (
	"context"
	"strings"
	"testing"

	"gatekeeper/upstream/finding"
)

const definition = `{"group":"example.com","version":"v1","kind":"Box","namespaced":true,
"subresources":{"status":{}},"schema":{"type":"object","properties":{
"metadata":{"type":"object","properties":{"name":{"type":"string","pattern":"^b-"}}},
"spec":{"type":"object","required":["size"],"x-kubernetes-validations":[{"rule":"self.size <= self.limit"}],"properties":{
"size":{"type":"integer"},"limit":{"type":"integer","default":5},"note":{"type":"string"},
"tags":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
"inner":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}},
"status":{"type":"object","properties":{"ready":{"type":"boolean"}}}}}}`

func validate(definition, fields string) string {
	object := `{"apiVersion":"example.com/v1","kind":"Box",` + fields + `}`
	kind, err := NewKinds().Open([]byte(definition))
	if err != nil {
		return err.Error()
	}
	return summarize(kind.Validate(context.Background(), []byte(object)))
}

func summarize(result finding.Result) string {
	parts := []string{}
	for _, one := range result.Findings {
		parts = append(parts, one.Field+" "+one.Type)
	}
	return strings.Join(parts, ", ")
}

func TestValidate(t *testing.T) {
	for _, test := range []struct{ name, fields, want string }{
		{"valid", `"metadata":{"name":"b-1"},"spec":{"size":3}`, ""},
		{"a schema on the name", `"metadata":{"name":"x-1"},"spec":{"size":3}`, "metadata.name FieldValueInvalid"},
		{"a rule after a default", `"metadata":{"name":"b-1"},"spec":{"size":6}`, "spec FieldValueInvalid"},
		{"a set", `"metadata":{"name":"b-1"},"spec":{"size":1,"tags":["a","a"]}`, "spec.tags[1] FieldValueDuplicate"},
		{"an unknown field", `"metadata":{"name":"b-1","x":1},"spec":{"size":1,"y":2}`, "metadata.x UnknownField, spec.y UnknownField"},
		{"a field twice", `"metadata":{"name":"b-1"},"spec":{"size":1,"size":1}`, "spec.size DuplicateField"},
		{"null", `"metadata":{"name":"b-1"},"spec":{"size":1,"note":null}`, ""},
		{"a status that the server drops", `"metadata":{"name":"b-1"},"spec":{"size":1},"status":{"ready":"no"}`, ""},
		{"an embedded object", `"metadata":{"name":"b-1"},"spec":{"size":1,"inner":{"kind":"x"}}`, "spec.inner.apiVersion FieldValueRequired,  FieldValueInvalid"},
		{"another type of metadata", `"metadata":{"name":7},"spec":{"size":1}`, "metadata Undecodable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := validate(definition, test.fields); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestADefinitionThatCannotBeUsed(t *testing.T) {
	for _, test := range []struct{ name, definition, want string }{
		{"not structural", strings.Replace(definition, `"size":{"type":"integer"}`, `"size":{}`, 1), "the schema is not structural"},
		{"no schema", `{"group":"example.com","version":"v1","kind":"Box"}`, "the definition has no schema"},
		{"no JSON", `[`, "the schema cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := validate(test.definition, `"metadata":{"name":"b"}`); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestARuleThatCostsTooMuchIsStopped(t *testing.T) {
	rule := `self.tags.all(a, self.tags.all(b, self.tags.all(c, self.tags.all(d, a + b + c + d != 'x'))))`
	costly := strings.Replace(definition, "self.size <= self.limit", rule, 1)
	tags := `"0"`
	for i := range 300 {
		tags += `,"t` + strings.Repeat("x", i) + `"`
	}
	got := validate(costly, `"metadata":{"name":"b-1"},"spec":{"size":1,"tags":[`+tags+`]}`)
	if !strings.Contains(got, "spec FieldValueInvalid") {
		t.Errorf("got %s", got)
	}
}
