package fetching

import (
	"fmt"
	"io"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"
)

// TestMain keeps the notes of Helm about broken entries out of the output.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func openIndex(t testing.TB, text string) (*Index, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return newIndex(file, 1<<30, func(io.Reader, int64) (*os.File, error) { return nil, errBroken })
}

// compareWithHelm compares all charts of an index with what Helm reads from the same file.
func compareWithHelm(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "helm.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	expected, helmErr := repo.LoadIndexFile(path)
	index, err := openIndex(t, text)
	if helmErr != nil {
		if err == nil {
			for name := range index.sections {
				if _, err = index.findReleases(name); err != nil {
					return
				}
			}
			t.Errorf("Helm refuses with %v:\n%.400s", helmErr, text)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v; Helm accepts\n%.400s", err, text)
	}
	for name, versions := range expected.Entries {
		found, err := index.findReleases(name)
		if err != nil {
			t.Fatal(err)
		}
		required := []release{}
		for _, one := range versions {
			required = append(required, release{one.Version, append([]string{}, one.URLs...), one.Digest, one.Created, one.Deprecated})
		}
		if len(found) != len(required) || len(required) > 0 && !reflect.DeepEqual(found, required) {
			t.Errorf("%s:\n%v\nHelm has\n%v\n%.2000s", name, found, required, text)
		}
		for _, constraint := range []string{"", "*", "1", "~1.1", "^1.0.0-0", ">=1.0.0 <2.0.0", "1.2.3", "v1.2.3", "x||"} {
			one, err := chooseAsHelm(found, constraint)
			theirs, theirErr := expected.Get(name, constraint)
			if (err == nil) != (theirErr == nil) || err == nil && one.version != theirs.Version {
				t.Errorf("%s %q: %v %v, Helm has %v %v", name, constraint, one, err, theirs, theirErr)
			}
		}
	}
}

var words = []string{
	"1.2.3", "v1.2.3", "1.2", "1.2.3+a", "1.2.3+b", "01.2.3", "broken version", "1.0.0-rc.1", "2.0.0", "1.1.0", "1.1.10",
	"1.10.0", "v1", "", "0.9.9", "3.0.0-alpha",
}

func TestRandomIndexesAreReadAsByHelm(t *testing.T) {
	for seed := range int64(120) {
		chance := rand.New(rand.NewSource(seed))
		entries := map[string]any{}
		for number := range chance.Intn(5) {
			name := fmt.Sprintf("%s%d", []string{"chart-", "1", "a: b", "~x"}[chance.Intn(4)], number)
			versions := []any{}
			for range chance.Intn(20) {
				one := map[string]any{"name": name, "urls": []string{"a.tgz", "b.tgz"}, "version": words[chance.Intn(len(words))]}
				if chance.Intn(3) == 0 {
					one["description"] = "first: line\n- second\n\n  third: 'x\n"
				}
				if chance.Intn(3) == 0 {
					one["digest"], one["deprecated"] = "abc", chance.Intn(2) == 0
				}
				if chance.Intn(3) == 0 {
					one["created"] = time.Unix(chance.Int63n(1e9), 0).UTC().Format(time.RFC3339)
				}
				if chance.Intn(40) == 0 {
					delete(one, "name")
				}
				versions = append(versions, one)
			}
			if chance.Intn(8) == 0 {
				versions = append(versions, nil)
			}
			entries[name] = versions
		}
		whole := map[string]any{"apiVersion": "v1", "entries": entries, "generated": "2026-01-01T00:00:00Z"}
		if chance.Intn(12) == 0 {
			delete(whole, "apiVersion")
		}
		text, err := yaml.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		compareWithHelm(t, string(text))
		compareWithHelm(t, strings.ReplaceAll(string(text), "\n", "\r\n"))
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		compareWithHelm(t, string(asJSON))
	}
}

func TestUnusualLayoutsAreReadAsByHelm(t *testing.T) {
	for _, text := range []string{
		"",
		"<html>",
		"apiVersion: v1\nentries: {a: [{name: a, version: 1.0.0}]}\n",
		"apiVersion: v1\nentries:\n    a:\n        - {name: a, version: 1.0.0}\n        -\n          name: a\n          version: 1.1.0\n",
		"entries:\n  a:\n  - name: a\n    version: 1.0.0\napiVersion: v1\n",
		"apiVersion: v1\nentries:\n  a: &x\n  - name: a\n    version: 1.0.0\n  b: *x\n",
		"apiVersion: v1\nentries:\n  a:\n  - &x\n    name: a\n    version: 1.0.0\n  b:\n  - *x\n",
		"apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n  a:\n  - name: a\n    version: 2.0.0\n",
		"apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n    description: \"x\n  b:\n  - c\"\n",
		"apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n    unknown: 1\n",
		"apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0\n    appVersion: 2\n",
		"apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: {}\n",
		"apiVersion: v1\nentries:\n  a: []\n  'b':\n  - name: b\n    version: 1.0.0\n",
		"apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n# a comment\n  b:\n  - name: b\n    version: 1.0.0\n",
		"---\napiVersion: v1\nentries: {}\n",
		"apiVersion: v1\n",
		"{\"apiVersion\": \"v1\", \"entries\": null}",
		"{\"apiVersion\": \"v1\", \"entries\": {\"a\": null}}",
		"{\"error\": \"x\"}",
		"{apiVersion: v1, entries: {a: [{name: a, version: 1.0.0}]}}",
	} {
		compareWithHelm(t, text)
	}
}

func TestPublishedIndexesAreReadAsByHelm(t *testing.T) {
	paths, _ := filepath.Glob(filepath.FromSlash("../../../../../shared/corpora/charts/published-indexes/*.yaml"))
	if len(paths) == 0 {
		t.Skip("no published indexes beside this checkout")
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		compareWithHelm(t, string(text))
	}
}

func TestALargeIndexIsReadInParts(t *testing.T) {
	var text strings.Builder
	text.WriteString("apiVersion: v1\nentries:\n")
	for number := range 30 {
		fmt.Fprintf(&text, "  chart-%d:\n", number)
		for version := range 400 {
			fmt.Fprintf(&text, "  - name: chart-%d\n    version: 1.%d.0\n    urls: [c-%d.tgz]\n    description: %s\n", number, version, version, strings.Repeat("words ", 900))
		}
	}
	index, err := openIndex(t, text.String())
	if err != nil {
		t.Fatal(err)
	}
	found, err := index.findReleases("chart-7")
	if err != nil || len(found) != 400 || found[0].version != "1.399.0" {
		t.Errorf("got %d releases, %v", len(found), err)
	}
}
