package fetching

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const (
	maxRequests, maxHostRequests = 16, 6
	maxRedirects                 = 10
	maxTries                     = 3
	maxWait                      = 30 * time.Second
	firstWait                    = 250 * time.Millisecond
	agent                        = "gatekeeper"
	dialTime, headerTime         = 10 * time.Second, 60 * time.Second
)

// network sends requests: bounded in number, repeated where that may help, and only to addresses that are allowed.
type network struct {
	vault  *vault
	guards bool
	proxy  func(*url.URL) (*url.URL, error)
	all    chan struct{}
	lock   sync.Mutex
	hosts  map[string]chan struct{}
	// transports are those of hosts with certificates of their own; that of all others has an empty name.
	transports map[string]*http.Transport
}

func newNetwork(known *vault, guards bool) *network {
	return &network{
		vault: known, guards: guards, proxy: httpproxy.FromEnvironment().ProxyFunc(), all: make(chan struct{}, maxRequests),
		hosts: map[string]chan struct{}{}, transports: map[string]*http.Transport{},
	}
}

// client follows redirects, but neither endlessly nor from https to http nor with credentials to another host.
func (n *network) client() *http.Client {
	return &http.Client{Transport: n, CheckRedirect: func(request *http.Request, via []*http.Request) error {
		first := via[0].URL
		if len(via) >= maxRedirects {
			return newFault("redirect", "%s redirects more than %d times; check the address", show(first), maxRedirects)
		}
		if request.URL.Scheme != "https" && (via[len(via)-1].URL.Scheme == "https" || request.URL.Scheme != "http") {
			return newFault("redirect", "%s redirects from https to another scheme, which is refused; check the address", show(first))
		}
		if originOf(request.URL) != originOf(first) {
			request.Header.Del("Authorization")
			request.Header.Del("Cookie")
		}
		// It has the address, which may have a token.
		request.Header.Del("Referer")
		request.URL.User = nil
		return nil
	}}
}

// RoundTrip sends a request, and repeats it after a failure that may be over soon.
func (n *network) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", agent)
	}
	transport, err := n.findTransport(request.URL)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(maxWait)
	for try := 1; ; try++ {
		answer, err := n.send(transport, request)
		wait, mayHelp := retryWait(answer, err, try)
		isSafe := request.Body == nil && (request.Method == http.MethodGet || request.Method == http.MethodHead)
		if !mayHelp || !isSafe || try == maxTries || time.Now().Add(wait).After(end) {
			return answer, err
		}
		if answer != nil {
			_ = answer.Body.Close()
		}
		select {
		case <-time.After(wait):
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
}

// retryWait is how long to wait before a request is repeated, and whether that may help.
func retryWait(answer *http.Response, err error, try int) (time.Duration, bool) {
	wait := firstWait << (try - 1)
	wait += rand.N(wait)
	if err != nil {
		fault := transportFault(err, "", "")
		return wait, fault.Reason == "unreachable" || fault.Reason == "truncated"
	}
	if answer.StatusCode != http.StatusTooManyRequests && (answer.StatusCode < 500 || answer.StatusCode == http.StatusNotImplemented) {
		return 0, false
	}
	after := answer.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil {
		wait = max(0, time.Duration(seconds)*time.Second)
	} else if when, err := http.ParseTime(after); err == nil {
		wait = max(0, time.Until(when))
	}
	return wait, true
}

// send sends a request once, as soon as no more than the allowed number of others is under way. A request for headers
// needs no place: it may be sent while the body of another answer is open, and must not wait for itself.
func (n *network) send(transport *http.Transport, request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodHead {
		return transport.RoundTrip(request)
	}
	n.lock.Lock()
	host, known := n.hosts[request.URL.Host]
	if !known {
		host = make(chan struct{}, maxHostRequests)
		n.hosts[request.URL.Host] = host
	}
	n.lock.Unlock()
	release, err := enter(request.Context(), host, n.all)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		release()
		return nil, err
	}
	answer.Body = &countedBody{ReadCloser: answer.Body, release: release}
	return answer, nil
}

// enter takes a place in each of these queues.
func enter(ctx context.Context, queues ...chan struct{}) (func(), error) {
	taken := 0
	release := sync.OnceFunc(func() {
		for _, queue := range queues[:taken] {
			<-queue
		}
	})
	for _, queue := range queues {
		select {
		case queue <- struct{}{}:
			taken++
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

// countedBody is a body that occupies its place until it is closed.
type countedBody struct {
	io.ReadCloser
	release func()
}

func (b *countedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// findTransport is the transport for a host.
func (n *network) findTransport(address *url.URL) (*http.Transport, error) {
	if address.Scheme != "https" && address.Scheme != "http" {
		return nil, newFault("refused-address", "the address %s has a scheme that is not fetched; use https", show(address))
	}
	if literal, err := netip.ParseAddr(address.Hostname()); n.guards && err == nil && !isPublic(literal) {
		return nil, refuseAddress(address.Hostname())
	}
	name := ""
	one, found := n.vault.findFor(address)
	if found && (one.CA != "" || one.Certificate != "") {
		name = strings.ToLower(one.Host)
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	if made, known := n.transports[name]; known {
		return made, nil
	}
	if name == "" {
		one = Credential{}
	}
	settings, err := one.tlsSettings()
	if err != nil {
		return nil, err
	}
	made := &http.Transport{
		Proxy:       func(request *http.Request) (*url.URL, error) { return n.proxy(request.URL) },
		DialContext: n.dial, TLSClientConfig: settings, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTime,
		ResponseHeaderTimeout: headerTime, MaxIdleConnsPerHost: maxHostRequests, IdleConnTimeout: time.Minute,
		DisableCompression: true, MaxResponseHeaderBytes: 1 << 20,
	}
	n.transports[name] = made
	return made, nil
}

// dial opens a connection. The proxy is configured by the user, so that its address is not judged.
func (n *network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTime}
	if n.guards && !n.isProxy(address) {
		host, _, _ := net.SplitHostPort(address)
		dialer.Control = controlDial(host)
	}
	return dialer.DialContext(ctx, protocol, address)
}

func (n *network) isProxy(address string) bool {
	configured := httpproxy.FromEnvironment()
	for _, text := range []string{configured.HTTPProxy, configured.HTTPSProxy} {
		if parsed, err := url.Parse(text); err == nil && text != "" {
			if hostAndPort(parsed) == strings.ToLower(address) {
				return true
			}
		}
	}
	return false
}
