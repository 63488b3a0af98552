package apiserver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
)

func TestTheKindIsThatOfTheAPIServer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	for range 20_000 {
		fields := make([]string, random.IntN(5))
		for index := range fields {
			name := pick(`"apiVersion"`, `"kind"`, `"apiVersion"`, `"kind"`, `"Kind"`, `"apiversion"`, `"\u006bind"`, `"\u212aind"`, `"spec"`)
			value := pick(`"v1"`, `"apps/v1"`, `"a/b/c"`, `""`, `"Pod"`, `"P\u006fd"`, `null`, `1`, `{"kind":"Pod"}`, `["v1"]`, `"\ud800"`)
			fields[index] = name + ":" + value
		}
		object := "{" + strings.Join(fields, ",") + "}"
		if !json.Valid([]byte(object)) {
			t.Fatal(object)
		}
		got, gotErr := kindReader{}.Interpret([]byte(object))
		want, wantErr := kjson.DefaultMetaFactory.Interpret([]byte(object))
		if fmt.Sprint(got, gotErr) != fmt.Sprint(want, wantErr) {
			t.Errorf("%s: got %v, %v; the API server reads %v, %v", object, got, gotErr, want, wantErr)
		}
	}
}
