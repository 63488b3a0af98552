// Command kstatus reads objects as JSON, one after the other, and says of each what the kstatus library does.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	decoder, encoder := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var text json.RawMessage
		if err := decoder.Decode(&text); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			panic(err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			panic(err)
		}
		answer := "Unknown"
		if found, err := status.Compute(object); err == nil {
			answer = found.Status.String()
		}
		if err := encoder.Encode(answer); err != nil {
			panic(err)
		}
	}
}
