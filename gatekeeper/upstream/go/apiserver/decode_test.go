package apiserver

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestObjectsAreReadAsTheAPIServerReadsThem(t *testing.T) {
	validator, err := NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	gvk := corev1.SchemeGroupVersion.WithKind("ConfigMap")
	one := validator.kinds[gvk]
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	valid := 0
	for range 20_000 {
		fields := []string{pick(`"apiVersion":"v1"`, `"kind":"ConfigMap"`), pick(`"apiVersion":"v1"`, `"kind":"ConfigMap"`)}
		for range random.IntN(3) {
			name := pick(`"apiVersion"`, `"kind"`, `"Kind"`, `"apiversion"`, `"\u006bind"`, `"\u212aind"`, `"spec"`, `"immutable"`, `"data"`)
			value := pick(`"v1"`, `"/v1"`, `"apps/v1"`, `"a/b/c"`, `""`, `"ConfigMap"`, `"Secret"`, `"Config\u004dap"`, `null`, `true`, `{"kind":"x"}`,
				`{"kind":"x","kind":"y"}`, `["v1"]`, `"\ud800"`)
			fields = append(fields, name+":"+value)
		}
		object := []byte("{" + strings.Join(fields, ",") + "}")
		if !json.Valid(object) {
			t.Fatal(string(object))
		}
		got, gotErr := one.read(gvk, object)
		want, _, wantErr := one.decoder.Decode(object, nil, nil)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotErr, wantErr) {
			t.Errorf("%s: got %v, %v; the API server reads %v, %v", object, got, gotErr, want, wantErr)
		}
		if wantErr == nil {
			valid++
		}
	}
	if valid < 1000 {
		t.Errorf("only %d objects are valid", valid)
	}
}
