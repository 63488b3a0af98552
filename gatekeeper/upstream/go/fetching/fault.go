package fetching

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
)

// Fault is why a source cannot be had: one sentence without secrets and without words of the server.
type Fault struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (f *Fault) Error() string { return f.Message }

// newFault returns a fault. The arguments must not contain text of a server, or a secret.
func newFault(reason, format string, arguments ...any) *Fault {
	return &Fault{Reason: reason, Message: fmt.Sprintf(format, arguments...)}
}

// statusFault is the fault of an answer with a status other than 200.
func statusFault(status int, address, host string) *Fault {
	switch {
	case status == http.StatusUnauthorized:
		return newFault("unauthorized", "%s refused the request for lack of valid credentials (status 401); configure credentials for the host %s", address, host)
	case status == http.StatusForbidden:
		return newFault("forbidden", "%s refused the request (status 403); check the rights of the credentials for the host %s", address, host)
	case status == http.StatusNotFound || status == http.StatusGone:
		return newFault("missing", "%s does not exist (status %d); check the address and the name", address, status)
	case status == http.StatusTooManyRequests:
		return newFault("rate-limited", "%s refused the request because of too many requests (status 429); try again later, or configure credentials for the host %s", address, host)
	case status >= 500:
		return newFault("server", "%s failed (status %d); try again later", address, status)
	}
	return newFault("server", "%s answers with the unexpected status %d; check the address", address, status)
}

// transportFault is the fault of a request that got no answer, or of an answer that broke off.
func transportFault(err error, address, host string) *Fault {
	var fault *Fault
	if errors.As(err, &fault) {
		return fault
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &network) && network.Timeout():
		return newFault("timeout", "%s took too long; try again, or allow more time", address)
	case errors.As(err, &certificate), errors.As(err, &authority):
		return newFault("certificate", "the certificate of %s is not trusted or has expired; configure the CA of the host %s", address, host)
	case errors.As(err, &header):
		return newFault("certificate", "%s does not answer with TLS; use http if the host %s has no TLS", address, host)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return newFault("truncated", "%s broke off before its end; try again", address)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES):
		return storeFault(err)
	}
	return newFault("unreachable", "%s cannot be reached; check the address, the network and the proxy", address)
}

// storeFault is the fault of the folder of the store.
func storeFault(err error) *Fault {
	var number syscall.Errno
	reason := "an error of the file system"
	if errors.As(err, &number) {
		reason = number.Error()
	}
	return newFault("store", "the store cannot be written: %s; check the folder and the space on its disk", reason)
}

// asFault returns the fault of an error that is one.
func asFault(err error) *Fault {
	var fault *Fault
	if errors.As(err, &fault) {
		return fault
	}
	return newFault("garbage", "the source cannot be read")
}
