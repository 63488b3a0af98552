package fetching

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

const (
	// Bytes of a chart are unpacked up to this size, to find out whether it is complete.
	maxProbedBytes = 256 << 20
	maxDownloads   = 3
)

// source is an address, and the repository of which it is.
type source struct {
	address    *url.URL
	repository *url.URL
	passes     bool
	// unpacks undoes a compression that the server names, as clients for files do.
	unpacks bool
}

// fileSource is the source of a file that belongs to no repository.
func fileSource(address *url.URL) source {
	return source{address: address, repository: address, unpacks: true}
}

// open sends a request for an address, and returns an answer with status 200.
func (f *Fetcher) open(ctx context.Context, from source) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.address.String(), nil)
	if err != nil {
		return nil, newFault("refused-address", "the address %s cannot be requested; check it", show(from.address))
	}
	shown, host := show(from.address), from.address.Host
	f.vault.authorize(request, from.repository, from.passes)
	hasCredentials := request.Header.Get("Authorization") != ""
	answer, err := f.network.client().Do(request)
	if err != nil {
		return nil, transportFault(err, shown, host)
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	_ = answer.Body.Close()
	return nil, redirectFault(answer, from.address, hasCredentials)
}

// redirectFault is the fault of a status; another host that demands credentials does not get those of the first.
func redirectFault(answer *http.Response, address *url.URL, hasCredentials bool) *Fault {
	isDenied := answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
	if last := answer.Request.URL; isDenied && hasCredentials && originOf(last) != originOf(address) {
		return newFault("redirect", "%s redirects to another host, which refuses a request without credentials (status %d); "+
			"credentials are not sent to another host", show(address), answer.StatusCode)
	}
	return statusFault(answer.StatusCode, show(address), address.Host)
}

// receive copies an answer into a new file of the store's folder.
func (f *Fetcher) receive(answer *http.Response, shown string, maxBytes int64, unpacks bool) (*partial, error) {
	defer answer.Body.Close()
	var body io.Reader = answer.Body
	if unpacks && strings.EqualFold(answer.Header.Get("Content-Encoding"), "gzip") {
		unpacked, err := gzip.NewReader(answer.Body)
		if err != nil {
			return nil, newFault("garbage", "%s is not compressed as its server says; report it to its owner", shown)
		}
		body = unpacked
	}
	if answer.ContentLength > maxBytes {
		return nil, tooLarge(shown, maxBytes)
	}
	file, err := f.store.create()
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(file, io.LimitReader(body, maxBytes+1))
	if err == nil && file.size > maxBytes {
		err = tooLarge(shown, maxBytes)
	}
	if err != nil {
		file.discard()
		return nil, transportFault(err, shown, hostOf(shown))
	}
	return file, nil
}

func hostOf(shown string) string {
	parsed, err := url.Parse(shown)
	if err != nil {
		return shown
	}
	return parsed.Host
}

func tooLarge(shown string, maxBytes int64) *Fault {
	return newFault("too-large", "%s has more than %d MB; raise the limit if that is right", shown, maxBytes>>20)
}

// download gets a file from a mirror or the origin; one that breaks off is requested again.
func (f *Fetcher) download(ctx context.Context, from source, maxBytes int64) (*partial, error) {
	var last error
	for _, address := range candidates(f.settings.Mirrors, from.address) {
		at := from
		if address != from.address {
			at = source{address: address, repository: address, unpacks: from.unpacks}
		}
		for try := 1; try <= maxDownloads; try++ {
			answer, err := f.open(ctx, at)
			var file *partial
			if err == nil {
				file, err = f.receive(answer, show(address), maxBytes, at.unpacks)
			}
			if err == nil {
				return file, nil
			}
			last = err
			if asFault(err).Reason != "truncated" {
				break
			}
		}
	}
	return nil, last
}

// checkArchive is the fault of a file that is no complete tar archive compressed by gzip.
func checkArchive(file *partial, shown string) error {
	if _, err := file.file.Seek(0, io.SeekStart); err != nil {
		return storeFault(err)
	}
	content, err := gzip.NewReader(file.file)
	if err != nil {
		return newFault("garbage", "%s is no chart: it does not have the format of a .tgz; check the address", shown)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(content, maxProbedBytes))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return newFault("truncated", "%s broke off before its end; try again", shown)
	case err != nil:
		return newFault("garbage", "%s is no chart: its compressed data is damaged; report it to its owner", shown)
	}
	return nil
}

// checkPage is the fault of a file that is an HTML page, which servers send instead of errors and logins.
func checkPage(file *partial, shown string) error {
	head := make([]byte, 512)
	count, err := file.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return storeFault(err)
	}
	start := strings.ToLower(string(bytes.TrimLeft(head[:count], " \t\r\n\ufeff")))
	if strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") {
		return newFault("garbage", "%s is an HTML page and no file; check the address, and whether it needs credentials", shown)
	}
	return nil
}

// anonymous writes a stream to a file without a name, which is gone when it is closed.
func (f *Fetcher) anonymous(content io.Reader, maxBytes int64) (*os.File, error) {
	file, err := f.store.create()
	if err != nil {
		return nil, err
	}
	_ = os.Remove(file.file.Name())
	_, err = io.Copy(file, io.LimitReader(content, maxBytes+1))
	if err == nil && file.size > maxBytes {
		err = newFault("too-large", "an index has more than %d MB once it is unpacked; raise the limit if that is right", maxBytes>>20)
	}
	if err != nil {
		_ = file.file.Close()
		return nil, err
	}
	return file.file, nil
}
