package terraform

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// appendValue appends a converted value as JSON, as encoding/json writes it without the escapes for HTML, but in a
// fraction of the time: a converted value has few types.
func appendValue(out []byte, value any) ([]byte, error) {
	var err error
	switch one := value.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, one), nil
	case int64:
		return strconv.AppendInt(out, one, 10), nil
	case string:
		return appendText(out, one)
	case []any:
		out = append(out, '[')
		for number, item := range one {
			if number > 0 {
				out = append(out, ',')
			}
			if out, err = appendValue(out, item); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case map[string]any:
		out = append(out, '{')
		for number, key := range slices.Sorted(maps.Keys(one)) {
			if number > 0 {
				out = append(out, ',')
			}
			if out, err = appendText(out, key); err != nil {
				return nil, err
			}
			if out, err = appendValue(append(out, ':'), one[key]); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	}
	return appendAny(out, value)
}

func appendText(out []byte, text string) ([]byte, error) {
	for index := range len(text) {
		if letter := text[index]; letter < ' ' || letter > '~' || letter == '"' || letter == '\\' {
			return appendAny(out, text)
		}
	}
	return append(append(append(out, '"'), text...), '"'), nil
}

func appendAny(out []byte, value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return append(out, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...), nil
}
