package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"
)

var texts = []string{"", "a", "key", `"`, `\`, "<&>", "é", "\u2028", "\x00\n", "\xff", "${var.x}", "~", "\x7f"}

func randomValue(random *rand.Rand, depth int) any {
	switch choice := random.Intn(8); {
	case choice < 2 && depth > 0:
		list := []any{}
		for range random.Intn(4) {
			list = append(list, randomValue(random, depth-1))
		}
		return list
	case choice < 4 && depth > 0:
		object := map[string]any{}
		for range random.Intn(4) {
			object[texts[random.Intn(len(texts))]+fmt.Sprint(random.Intn(3))] = randomValue(random, depth-1)
		}
		return object
	case choice == 4:
		return random.Int63() - random.Int63()
	case choice == 5:
		return json.Number("1.5")
	case choice == 6:
		return []any{nil, true, false}[random.Intn(3)]
	}
	return texts[random.Intn(len(texts))]
}

func TestValuesAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	random := rand.New(rand.NewSource(7))
	for range 20_000 {
		value := randomValue(random, 4)
		var expected bytes.Buffer
		encoder := json.NewEncoder(&expected)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			t.Fatal(err)
		}
		found, err := appendValue(nil, value)
		if err != nil || string(found) != string(bytes.TrimSuffix(expected.Bytes(), []byte("\n"))) {
			t.Fatalf("%q (%v), not %q", found, err, expected.Bytes())
		}
	}
}

func TestNamesInPathsAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	for _, text := range texts {
		expected, _ := json.Marshal(text)
		if found := path("").key(text); string(found) != string(expected) {
			t.Errorf("%q: %s, not %s", text, found, expected)
		}
	}
}
