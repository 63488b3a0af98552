package fetching

import (
	"net"
	"net/url"
	"sort"
	"strings"
)

const schemeOCI = "oci"

// parseAddress parses an address of a repository; schemes that lead to files of this machine are refused.
func parseAddress(text string, schemes ...string) (*url.URL, error) {
	address, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, newFault("refused-address", "an address of a source cannot be parsed; write it as https://HOST/PATH or oci://HOST/PATH")
	}
	for _, scheme := range schemes {
		if strings.EqualFold(address.Scheme, scheme) && address.Host != "" && address.Opaque == "" {
			address.Scheme = scheme
			return address, nil
		}
	}
	return nil, newFault("refused-address", "the address %s has a scheme that is not fetched; use %s", show(address), strings.Join(schemes, " or "))
}

// show is an address without its user, password, query and fragment, for messages and entries.
func show(address *url.URL) string {
	shown := *address
	shown.User, shown.RawQuery, shown.ForceQuery, shown.Fragment, shown.RawFragment = nil, "", false, "", ""
	if shown.Opaque != "" {
		return shown.Scheme + ":"
	}
	return shown.String()
}

// indexAddress is the address of the index of a repository; a query of the repository stays.
func indexAddress(repository *url.URL) *url.URL {
	index := *repository
	index.Path, index.RawPath = strings.TrimSuffix(repository.Path, "/")+"/index.yaml", ""
	return &index
}

// resolveChart is the address of a chart, of which the index names a relative or absolute one.
//
// Source: RFC 3986, section 5.2; `ResolveReferenceURL` of helm.sh/helm/v3/pkg/repo.
func resolveChart(repository *url.URL, reference string) (*url.URL, error) {
	parsed, err := url.Parse(reference)
	if err != nil {
		return nil, newFault("garbage", "the index of %s names an address that cannot be parsed; report it to its owner", show(repository))
	}
	if parsed.IsAbs() {
		return parseAddress(reference, "https", "http", schemeOCI)
	}
	base := *repository
	base.Path, base.RawPath = strings.TrimSuffix(base.Path, "/")+"/", ""
	resolved := base.ResolveReference(parsed)
	resolved.RawQuery = repository.RawQuery
	return resolved, nil
}

// originOf is the scheme, host and port of an address.
func originOf(address *url.URL) string {
	return strings.ToLower(address.Scheme) + "://" + hostAndPort(address)
}

// hostAndPort is the host of an address, with the port of its scheme if it names none.
func hostAndPort(address *url.URL) string {
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[strings.ToLower(address.Scheme)]
	}
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(address.Hostname()), port)
}

// candidates are the addresses at which something may be had: at mirrors, and at its origin if that is allowed.
func candidates(mirrors []Mirror, address *url.URL) []*url.URL {
	text := show(address)
	matching := []Mirror{}
	for _, mirror := range mirrors {
		prefix := strings.TrimSuffix(mirror.Prefix, "/")
		if text == prefix || strings.HasPrefix(text, prefix+"/") {
			matching = append(matching, mirror)
		}
	}
	sort.SliceStable(matching, func(i, j int) bool { return len(matching[i].Prefix) > len(matching[j].Prefix) })
	found := []*url.URL{}
	for _, mirror := range matching {
		rest := strings.TrimPrefix(text, strings.TrimSuffix(mirror.Prefix, "/"))
		if target, err := url.Parse(strings.TrimSuffix(mirror.Target, "/") + rest); err == nil {
			found = append(found, target)
		}
		if !mirror.Fallback {
			return found
		}
	}
	return append(found, address)
}
