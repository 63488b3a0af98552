package finding

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestValuesAreLeftOut(t *testing.T) {
	path := field.NewPath("data").Key("password")
	got := FromErrors(field.ErrorList{
		field.Invalid(path, "hunter2", "must be longer"),
		field.Invalid(field.NewPath("metadata", "labels"), "a b", "must be a name"),
	})
	want := []Finding{
		{Field: "data[password]", Type: "FieldValueInvalid", Detail: "must be longer"},
		{Field: "metadata.labels", Type: "FieldValueInvalid", Detail: "must be a name", Entry: "a b"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestWarningsHaveAField(t *testing.T) {
	warnings := &Warnings{}
	warnings.AddWarning("", "spec.ports[0].name: duplicates another")
	warnings.AddWarning("", `the name "a: b" is long`)
	want := []Finding{
		{Field: "spec.ports[0].name", Type: Warning, Detail: "duplicates another"},
		{Type: Warning, Detail: `the name "a: b" is long`},
	}
	if !reflect.DeepEqual(warnings.Findings(), want) {
		t.Errorf("got %v", warnings.Findings())
	}
}

func TestWithoutConsequences(t *testing.T) {
	causes := []Finding{{Field: "spec.a", Type: string(field.ErrorTypeTypeInvalid)}}
	findings := []Finding{{Field: "spec.a"}, {Field: "spec.a[0].b"}, {Field: "spec.ab"}, {Field: "spec"}}
	if got := WithoutConsequences(findings, causes); len(got) != 2 || got[0].Field != "spec.ab" || got[1].Field != "spec" {
		t.Errorf("got %v", got)
	}
}
