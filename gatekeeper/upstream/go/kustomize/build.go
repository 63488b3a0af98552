// Package kustomize builds kustomizations from files in memory, with kustomize's own library.
//
// Source: sigs.k8s.io/kustomize/kustomize/v5 commands/build (the options of `kustomize build`).
package kustomize

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"gatekeeper/upstream/parallel"
)

const (
	// ownFolder is the folder of a target's own files, one of which is its kustomization.
	ownFolder = "/wrapper"
	// keptBytes is how much content stays in memory between calls.
	keptBytes = 128 << 20
)

// Batch requests builds of targets from the same files.
type Batch struct {
	// Folders has the listings of folders, by absolute path.
	Folders map[string]Folder `json:"folders"`
	// Contents has the contents of files by digest, as far as they were not sent before.
	Contents map[string][]byte `json:"contents"`
	Targets  []Target          `json:"targets"`
	// Kubernetes is the version in the capabilities of charts.
	Kubernetes string `json:"kubernetes"`
	// Seconds is the time for each target.
	Seconds float64 `json:"seconds"`
}

// Target is one build: the files of its own folder, by name, and whether each kustomization reads only files of its own
// folder and below.
type Target struct {
	Files      map[string]string `json:"files"`
	Restricted bool              `json:"restricted"`
}

// Answer has a result for each target, or the digests of contents that are not kept and must be sent again.
type Answer struct {
	Missing []string `json:"missing,omitempty"`
	Results []Result `json:"results,omitempty"`
}

// Result has the objects of a build, or its error, or the paths that must be sent for it.
type Result struct {
	Objects []Object `json:"objects,omitempty"`
	Error   string   `json:"error,omitempty"`
	Needs   []string `json:"needs,omitempty"`
	// Late is true if the build still runs after its deadline.
	Late bool `json:"late,omitempty"`
}

// Builder builds kustomizations.
type Builder struct {
	store *Store
	// A schema in a kustomization is global in kustomize: such a build runs alone.
	schema sync.RWMutex
}

// NewBuilder returns a builder without any content.
func NewBuilder() *Builder { return &Builder{store: NewStore(keptBytes)} }

// Build builds all targets of a batch, on all cores.
func (b *Builder) Build(ctx context.Context, batch Batch) (Answer, error) {
	for digest, text := range batch.Contents {
		b.store.Add(digest, text)
	}
	contents, missing := b.collect(batch)
	if len(missing) > 0 {
		return Answer{Missing: missing}, nil
	}
	results, err := parallel.Map(ctx, batch.Targets, func(target Target) Result {
		own := &tree{folders: batch.Folders, contents: contents, files: target.Files, needs: map[string]bool{},
			kubernetes: batch.Kubernetes}
		return b.buildInTime(own, target, batch.Seconds)
	})
	return Answer{Results: results}, err
}

// collect returns the contents of the listed files, and the digests of those that are not kept.
func (b *Builder) collect(batch Batch) (map[string][]byte, []string) {
	contents, missing := map[string][]byte{}, map[string]bool{}
	for _, folder := range batch.Folders {
		for _, entry := range folder {
			if entry[0] != fileKind || len(entry) == 1 {
				continue
			}
			digest := entry[1:]
			if text, sent := batch.Contents[digest]; sent {
				contents[digest] = text
			} else if text, kept := b.store.Get(digest); kept {
				contents[digest] = text
			} else {
				missing[digest] = true
			}
		}
	}
	return contents, slices.Sorted(maps.Keys(missing))
}

func (b *Builder) buildInTime(own *tree, target Target, seconds float64) Result {
	done := make(chan Result, 1)
	go func() { done <- b.build(own, target) }()
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case result := <-done:
		return result
	case <-timer.C:
		return Result{Error: fmt.Sprintf("kustomize took longer than %g seconds", seconds), Late: true}
	}
}

// build builds one target: together with others, or alone if one of its kustomizations may set a schema.
func (b *Builder) build(own *tree, target Target) Result {
	b.schema.RLock()
	result := run(own, target)
	b.schema.RUnlock()
	if !own.setsSchema {
		return result
	}
	b.schema.Lock()
	defer b.schema.Unlock()
	// A schema is added to what was parsed before, which a new process would not have.
	openapi.ResetOpenAPI()
	defer openapi.ResetOpenAPI()
	own.isAlone, own.needs = true, map[string]bool{}
	return run(own, target)
}

// run builds one target; a crash of the library concerns this target only.
func run(own *tree, target Target) (result Result) {
	defer func() {
		if fault := recover(); fault != nil {
			result = Result{Error: fmt.Sprintf("kustomize crashed: %v", fault)}
		}
	}()
	own.own = map[string]Folder{"/": {"wrapper": "d", "repository": "d"}, ownFolder: {}}
	for name := range own.files {
		own.own[ownFolder][name] = "f" + name
	}
	config, end := inflateFrom(own)
	defer end()
	options := &krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: types.LoadRestrictionsNone,
		PluginConfig:     config,
	}
	if target.Restricted {
		options.LoadRestrictions = types.LoadRestrictionsRootOnly
	}
	built, err := krusty.MakeKustomizer(options).Run(fileSystem{own}, ownFolder)
	if own.refusal != nil {
		return Result{Error: own.refusal.Error()}
	}
	if len(own.needs) > 0 {
		return Result{Needs: slices.Sorted(maps.Keys(own.needs))}
	}
	if err != nil {
		return Result{Error: err.Error()}
	}
	return decode(built)
}
