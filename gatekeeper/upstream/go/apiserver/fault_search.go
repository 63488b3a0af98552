package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"gatekeeper/upstream/finding"
)

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func typeOf(object runtime.Object) reflect.Type { return reflect.TypeOf(object).Elem() }

// faultSearch compares a JSON value with a Go type.
type faultSearch struct {
	markers []string
	faults  []finding.Finding
	unknown int
}

// check returns the value without the parts that are not known yet, and records those that do not fit the type.
func (s *faultSearch) check(wanted reflect.Type, value any, path string) any {
	if value == nil {
		return nil
	}
	if wanted.Kind() == reflect.Pointer {
		return s.check(wanted.Elem(), value, path)
	}
	if reflect.PointerTo(wanted).Implements(unmarshaler) {
		return s.checkUnmarshaler(wanted, value, path)
	}
	switch wanted.Kind() {
	case reflect.Struct:
		return s.checkStruct(wanted, value, path)
	case reflect.Map:
		return s.checkMap(wanted, value, path)
	case reflect.Slice, reflect.Array:
		return s.checkList(wanted, value, path)
	default:
		return s.checkScalar(wanted, value, path)
	}
}

// fault records that a value does not fit; a value that is not known yet is dropped instead.
func (s *faultSearch) fault(value any, path, detail string) any {
	if text, ok := value.(string); ok && containsMarker(text, s.markers) {
		s.unknown++
		return nil
	}
	s.faults = append(s.faults, finding.Finding{Field: path, Type: string(field.ErrorTypeTypeInvalid), Detail: detail})
	return nil
}

func (s *faultSearch) checkUnmarshaler(wanted reflect.Type, value any, path string) any {
	raw, err := json.Marshal(value)
	if err != nil {
		return value
	}
	if err := reflect.New(wanted).Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
		return s.fault(value, path, describeUnmarshaler(wanted, value, err))
	}
	return value
}

// describeUnmarshaler describes the required form of a value with its own decoder; the error may contain the value.
func describeUnmarshaler(wanted reflect.Type, value any, err error) string {
	switch wanted.Name() {
	case "Quantity":
		return "must be a quantity such as 500m, 2 or 1Gi"
	case "Time", "MicroTime":
		return "must be a time such as 2006-01-02T15:04:05Z"
	case "Duration":
		return "must be a duration such as 1h30m"
	case "IntOrString":
		return "must be a whole number or a text, not " + describe(value)
	default:
		return err.Error()
	}
}

func (s *faultSearch) checkStruct(wanted reflect.Type, value any, path string) any {
	fields, ok := value.(map[string]any)
	if !ok {
		return s.fault(value, path, "must be a mapping, not "+describe(value))
	}
	for i := range wanted.NumField() {
		one := wanted.Field(i)
		name, _, _ := strings.Cut(one.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" && one.Anonymous {
			s.checkStruct(one.Type, fields, path)
			continue
		}
		if name == "" {
			name = one.Name
		}
		if inner, present := fields[name]; present {
			fields[name] = s.check(one.Type, inner, join(path, name))
		}
	}
	return fields
}

func (s *faultSearch) checkMap(wanted reflect.Type, value any, path string) any {
	entries, ok := value.(map[string]any)
	if !ok {
		return s.fault(value, path, "must be a mapping, not "+describe(value))
	}
	keys := make([]string, 0, len(entries))
	for key := range entries {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		entries[key] = s.check(wanted.Elem(), entries[key], path+"["+key+"]")
	}
	return entries
}

func (s *faultSearch) checkList(wanted reflect.Type, value any, path string) any {
	if wanted.Elem().Kind() == reflect.Uint8 {
		text, ok := value.(string)
		if !ok {
			return s.fault(value, path, "must be a text in base64, not "+describe(value))
		}
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return s.fault(value, path, "must be in base64")
		}
		return value
	}
	items, ok := value.([]any)
	if !ok {
		return s.fault(value, path, "must be a list, not "+describe(value))
	}
	for i := range items {
		items[i] = s.check(wanted.Elem(), items[i], path+"["+strconv.Itoa(i)+"]")
	}
	return items
}

func (s *faultSearch) checkScalar(wanted reflect.Type, value any, path string) any {
	number, isNumber := value.(json.Number)
	switch wanted.Kind() {
	case reflect.String:
		if _, ok := value.(string); !ok {
			return s.fault(value, path, "must be a text, not "+describe(value))
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return s.fault(value, path, "must be true or false, not "+describe(value))
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if _, err := strconv.ParseInt(number.String(), 10, wanted.Bits()); !isNumber || err != nil {
			return s.fault(value, path, describeInteger(value, isNumber, wanted.Bits()))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if _, err := strconv.ParseUint(number.String(), 10, wanted.Bits()); !isNumber || err != nil {
			return s.fault(value, path, describeInteger(value, isNumber, wanted.Bits()))
		}
	case reflect.Float32, reflect.Float64:
		if !isNumber {
			return s.fault(value, path, "must be a number, not "+describe(value))
		}
	}
	return value
}

func describeInteger(value any, isNumber bool, bits int) string {
	if isNumber {
		return "must be a whole number of " + strconv.Itoa(bits) + " bits"
	}
	return "must be a whole number, not " + describe(value)
}

func describe(value any) string {
	switch value.(type) {
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "true or false"
	default:
		return "a number"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
