package fetching

import (
	"net/url"
	"testing"

	"helm.sh/helm/v3/pkg/repo"
)

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestAddressesOfChartsAreResolvedAsByHelm(t *testing.T) {
	for _, base := range []string{"https://a.example", "https://a.example/b/c", "https://a.example/b/c/", "http://a.example:81/b?key=1"} {
		for _, reference := range []string{"x.tgz", "../x.tgz", "../../../x.tgz", "/x.tgz", "d/x-1.0.0+a.tgz", "./x.tgz", "https://other.example/x.tgz", "//other.example/x.tgz"} {
			got, err := resolveChart(parse(t, base), reference)
			if err != nil {
				t.Fatal(err)
			}
			expected, err := repo.ResolveReferenceURL(base, reference)
			if err != nil || got.String() != expected {
				t.Errorf("%s and %s: got %s, Helm has %s", base, reference, got, expected)
			}
		}
	}
}

func TestNoSecretOfAnAddressIsShown(t *testing.T) {
	if got := show(parse(t, "https://user:secret@a.example/b?token=secret#secret")); got != "https://a.example/b" {
		t.Errorf("got %s", got)
	}
	if got := show(parse(t, "mailto:secret")); got != "mailto:" {
		t.Errorf("got %s", got)
	}
}

func TestTheMirrorWithTheLongestPrefixCounts(t *testing.T) {
	mirrors := []Mirror{
		{Prefix: "https://a.example", Target: "https://m.example/all", Fallback: true},
		{Prefix: "https://a.example/b/", Target: "https://m.example/b", Fallback: true},
		{Prefix: "oci://a.example", Target: "oci://m.example/proxy/a.example"},
	}
	for text, expected := range map[string][]string{
		"https://a.example/b/x":  {"https://m.example/b/x", "https://m.example/all/b/x", "https://a.example/b/x"},
		"https://a.example/bc/x": {"https://m.example/all/bc/x", "https://a.example/bc/x"},
		"https://a.example.org":  {"https://a.example.org"},
		"oci://a.example/c":      {"oci://m.example/proxy/a.example/c"},
	} {
		got := candidates(mirrors, parse(t, text))
		if len(got) != len(expected) {
			t.Fatalf("%s: got %v", text, got)
		}
		for number, one := range got {
			if one.String() != expected[number] {
				t.Errorf("%s: got %v", text, got)
			}
		}
	}
}
