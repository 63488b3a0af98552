package fetching

import (
	"context"
	"net/url"
)

// FetchPinned downloads what an entry pins, and nothing else, unless the store has it.
func (f *Fetcher) FetchPinned(ctx context.Context, pin Pin) Answer {
	if !isDigest(pin.Entry.Digest) {
		return Answer{Fault: newFault("garbage", "an entry of the lock has no sha256 digest; fetch its source again")}
	}
	if size, found := f.store.size(pin.Entry.Digest); found {
		pin.Entry.Size = size
		return Answer{Entry: &pin.Entry}
	}
	fetch := f.fetchPinnedFile
	if pin.Entry.Manifest != "" {
		fetch = f.fetchPinnedArtifact
	}
	size, err := fetch(ctx, pin)
	pin.Entry.Size = size
	return answer(pin.Entry, err)
}

// fetchPinnedFile downloads a file from the address of its entry; the query is that of the request.
func (f *Fetcher) fetchPinnedFile(ctx context.Context, pin Pin) (int64, error) {
	requested, err := parseAddress(pin.URL, "https", "http")
	if err != nil {
		return 0, err
	}
	address, err := parseAddress(pin.Entry.URL, "https", "http")
	if err != nil {
		return 0, err
	}
	if address.RawQuery == "" && originOf(address) == originOf(requested) {
		address.RawQuery = requested.RawQuery
	}
	from := source{address: address, repository: requested, passes: pin.PassCredentials, unpacks: pin.Kind == kindFile}
	size, err := f.keepPinned(ctx, pin, from)
	if err == nil || pin.Kind != kindHelm {
		return size, err
	}
	// The index may name another address by now, or one with a query.
	if other := f.findPinned(ctx, requested, pin); other != nil && other.String() != address.String() {
		if size, again := f.keepPinned(ctx, pin, source{address: other, repository: requested, passes: pin.PassCredentials}); again == nil {
			return size, nil
		}
	}
	return 0, err
}

// findPinned is the address of the pinned version in the index.
func (f *Fetcher) findPinned(ctx context.Context, repository *url.URL, pin Pin) *url.URL {
	index, err := f.openIndex(ctx, repository, pin.PassCredentials)
	if err != nil {
		return nil
	}
	releases, err := index.findReleases(pin.Chart)
	if err != nil {
		return nil
	}
	chosen, found := findExact(releases, pin.Entry.Version)
	if !found || len(chosen.urls) == 0 {
		return nil
	}
	address, err := resolveChart(repository, chosen.urls[0])
	if err != nil || address.Scheme == schemeOCI {
		return nil
	}
	return address
}

// keepPinned downloads a file, and refuses other bytes than those of the entry.
func (f *Fetcher) keepPinned(ctx context.Context, pin Pin, from source) (int64, error) {
	file, err := f.download(ctx, from, f.settings.MaxFileBytes)
	if err != nil {
		return 0, err
	}
	if file.digest() != pin.Entry.Digest {
		file.discard()
		return 0, newFault("digest-mismatch", "%s has other bytes than the lock says (%s instead of %s); find out who changed them", show(from.address), file.digest(), pin.Entry.Digest)
	}
	return file.size, file.keep()
}
