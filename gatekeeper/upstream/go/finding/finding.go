// Package finding has the form in which every validation reports what the API server refuses or warns of.
package finding

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Types of findings in addition to those of field.ErrorType.
const (
	UnknownField   = "UnknownField"
	DuplicateField = "DuplicateField"
	Undecodable    = "Undecodable"
	Refused        = "Refused"
	Warning        = "Warning"
)

// Finding is one reason for which the API server refuses an object, or one warning.
//
// Entry is the key or value at fault of a field that is a mapping of labels or annotations: the API server names only
// the mapping.
type Finding struct {
	Field  string `json:"field"`
	Type   string `json:"type"`
	Detail string `json:"detail,omitempty"`
	Entry  string `json:"entry,omitempty"`
}

// Result is the result of the validation of one object. Without a reason in Unchecked, the object was checked.
//
// Crashed is true if the validation itself failed, which is not the same as a kind that is not supported.
type Result struct {
	Unchecked string    `json:"unchecked,omitempty"`
	Crashed   bool      `json:"crashed,omitempty"`
	Findings  []Finding `json:"findings,omitempty"`
}

// FromErrors returns the findings of field errors. The refused value is left out, because it may be a secret.
func FromErrors(list field.ErrorList) []Finding {
	findings := make([]Finding, 0, len(list))
	for _, one := range list {
		findings = append(findings, Finding{
			Field: strings.TrimPrefix(one.Field, "<nil>"), Type: string(one.Type), Detail: one.Detail, Entry: entryOf(one),
		})
	}
	return findings
}

// entryOf is the key at fault, or the value of a label: neither is a secret.
func entryOf(one *field.Error) string {
	name := one.Field[strings.LastIndexByte(one.Field, '.')+1:]
	text, ok := one.BadValue.(string)
	if ok && (name == "labels" || name == "annotations" || name == "matchLabels" || name == "nodeSelector") {
		return text
	}
	return ""
}

// FromError returns the findings of an error of a REST storage.
func FromError(err error) []Finding {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		return []Finding{{Type: Refused, Detail: err.Error()}}
	}
	var findings []Finding
	for _, cause := range status.ErrStatus.Details.Causes {
		findings = append(findings, fromCause(cause))
	}
	return findings
}

func fromCause(cause metav1.StatusCause) Finding {
	return Finding{Field: cause.Field, Type: string(cause.Type), Detail: cause.Message}
}

// fieldError is what the decoder's strict errors implement (sigs.k8s.io/json).
type fieldError interface {
	error
	FieldPath() string
}

// FromStrictError returns the findings of a strict decoding error, and whether the error is one.
func FromStrictError(err error) ([]Finding, bool) {
	strict, ok := runtime.AsStrictDecodingError(err)
	if !ok {
		return nil, false
	}
	var findings []Finding
	for _, one := range strict.Errors() {
		findings = append(findings, fromStrict(one))
	}
	return findings, true
}

func fromStrict(err error) Finding {
	kind, text := Undecodable, err.Error()
	if strings.HasPrefix(text, "unknown field") {
		kind = UnknownField
	} else if strings.HasPrefix(text, "duplicate field") {
		kind = DuplicateField
	}
	var located fieldError
	if errors.As(err, &located) {
		return Finding{Field: located.FieldPath(), Type: kind}
	}
	if _, path, ok := strings.Cut(text, `field "`); ok && kind != Undecodable {
		return Finding{Field: strings.TrimSuffix(path, `"`), Type: kind}
	}
	return Finding{Type: kind, Detail: text}
}

// UnknownFields returns the findings of fields that a custom resource's schema does not name.
func UnknownFields(paths []string) []Finding {
	var findings []Finding
	for _, path := range paths {
		findings = append(findings, Finding{Field: path, Type: UnknownField})
	}
	return findings
}

// WithoutConsequences returns the findings except those about a value that was left out because it has the wrong type.
func WithoutConsequences(findings, causes []Finding) []Finding {
	var kept []Finding
	for _, one := range findings {
		if !isConsequence(one, causes) {
			kept = append(kept, one)
		}
	}
	return kept
}

func isConsequence(one Finding, causes []Finding) bool {
	for _, cause := range causes {
		rest, below := strings.CutPrefix(one.Field, cause.Field)
		if cause.Type == string(field.ErrorTypeTypeInvalid) && below && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// Warnings collects the API server's warnings about one object; it is a recorder of k8s.io/apiserver/pkg/warning.
type Warnings struct {
	findings []Finding
}

// AddWarning records a warning, whose text begins with the path of its field where it is about one.
func (w *Warnings) AddWarning(_, text string) {
	path, detail, found := strings.Cut(text, ": ")
	if !found || strings.ContainsAny(path, " \"") || !strings.ContainsAny(path, ".[") {
		path, detail = "", text
	}
	w.findings = append(w.findings, Finding{Field: path, Type: Warning, Detail: detail})
}

// Findings are the warnings that were recorded.
func (w *Warnings) Findings() []Finding { return w.findings }
