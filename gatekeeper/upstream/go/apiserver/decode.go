package apiserver

import (
	"bytes"
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gatekeeper/upstream/finding"
)

// decode reads an object strictly. Unknown and repeated fields are findings beside the object; a value of another
// type leaves no object, and the findings name each such value.
func decode(one kind, gvk schema.GroupVersionKind, object []byte, markers []string) (runtime.Object, []finding.Finding) {
	decoded, _, err := one.decoder.Decode(object, nil, nil)
	if err == nil {
		return decoded, nil
	}
	if findings, ok := finding.FromStrictError(err); ok && decoded != nil {
		return decoded, findings
	}
	faults, repaired := locateFaults(one.scheme, gvk, object, markers)
	if len(faults) > 0 {
		return nil, faults
	}
	if repaired != nil {
		return decode(one, gvk, repaired, nil)
	}
	return nil, []finding.Finding{{Type: finding.Undecodable, Detail: err.Error()}}
}

// locateFaults names each value that has another type than its field; the decoder stops at the first, and does not
// always say where it is. If only values that are not known yet are at fault, it returns the object without them.
func locateFaults(
	scheme *runtime.Scheme, gvk schema.GroupVersionKind, object []byte, markers []string,
) ([]finding.Finding, []byte) {
	typed, err := scheme.New(gvk)
	if err != nil {
		return nil, nil
	}
	var value any
	reader := json.NewDecoder(bytes.NewReader(object))
	reader.UseNumber()
	if reader.Decode(&value) != nil {
		return nil, nil
	}
	search := faultSearch{markers: markers}
	value = search.check(typeOf(typed), value, "")
	if len(search.faults) > 0 || search.unknown == 0 {
		return search.faults, nil
	}
	repaired, err := json.Marshal(value)
	if err != nil {
		return nil, nil
	}
	return nil, repaired
}
