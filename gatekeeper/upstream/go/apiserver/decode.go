package apiserver

import (
	"bytes"
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"gatekeeper/upstream/finding"
)

// read is the API server's strict decoder. That one reads each object twice, the first time only for its kind: an object
// without a fault that has the expected kind is read once.
func (k kind) read(gvk schema.GroupVersionKind, object []byte) (runtime.Object, error) {
	if decoded, err := k.scheme.New(gvk); err == nil {
		faults, err := kjson.UnmarshalStrict(object, decoded)
		if err == nil && len(faults) == 0 && decoded.GetObjectKind().GroupVersionKind() == gvk {
			return decoded, nil
		}
	}
	decoded, _, err := k.decoder.Decode(object, nil, nil)
	return decoded, err
}

// decode reads an object strictly. Unknown and repeated fields are findings in addition to the object. Values of another
// type than their field are findings, too, and left out of the object, so that the rest can be validated.
func decode(one kind, gvk schema.GroupVersionKind, object []byte, markers []string) (runtime.Object, []finding.Finding) {
	decoded, err := one.read(gvk, object)
	if err == nil {
		return decoded, nil
	}
	if findings, ok := finding.FromStrictError(err); ok && decoded != nil {
		return decoded, findings
	}
	undecodable := []finding.Finding{{Type: finding.Undecodable, Detail: err.Error()}}
	faults, repaired := locateFaults(one.scheme, gvk, object, markers)
	if repaired == nil {
		return nil, undecodable
	}
	decoded, _, err = one.decoder.Decode(repaired, nil, nil)
	if strict, ok := finding.FromStrictError(err); ok {
		faults = append(faults, strict...)
	} else if err != nil {
		decoded = nil
	}
	if decoded == nil && len(faults) == 0 {
		return nil, undecodable
	}
	return decoded, faults
}

// locateFaults names each value that has another type than its field, and returns the object without them; the decoder
// stops at the first, and does not always say where it is. Values that are not known yet are left out, and not named.
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
	if len(search.faults) == 0 && search.unknown == 0 {
		return nil, nil
	}
	repaired, err := json.Marshal(value)
	if err != nil {
		return search.faults, nil
	}
	return search.faults, repaired
}
