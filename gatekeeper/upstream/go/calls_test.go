package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"gatekeeper/upstream/finding"
	"gatekeeper/upstream/protocol"
)

func TestAnObjectThatCrashesOrHangsFailsAlone(t *testing.T) {
	before := objectTime
	objectTime = 50 * time.Millisecond
	defer func() { objectTime = before }()
	release := make(chan struct{})
	defer close(release)
	one := func(object []byte) finding.Result {
		switch string(object) {
		case `"crash"`:
			panic("broken")
		case `"hang"`:
			<-release
		}
		return finding.Result{}
	}
	objects := []json.RawMessage{[]byte(`1`), []byte(`"crash"`), []byte(`2`), []byte(`"hang"`), []byte(`3`)}
	answer, err := validateAll(context.Background(), objects, one)
	if err != nil {
		t.Fatal(err)
	}
	unfinished, isUnfinished := answer.(protocol.Unfinished)
	if !isUnfinished {
		t.Fatalf("got %T: a validation still runs", answer)
	}
	for index, result := range unfinished.Result.([]finding.Result) {
		if failed := index == 1 || index == 3; result.Crashed != failed {
			t.Errorf("object %d: got %+v", index, result)
		}
	}
}

func TestABatchThatIsLateIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	one := func([]byte) finding.Result { return finding.Result{} }
	if _, err := validateAll(ctx, []json.RawMessage{[]byte(`1`)}, one); err == nil {
		t.Error("no error")
	}
}
