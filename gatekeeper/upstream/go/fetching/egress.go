package fetching

import (
	"net/netip"
	"syscall"
)

// forbiddenRanges are addresses that are neither public nor covered by the methods of netip.Addr.
//
// Source: the special-purpose address registries of IANA, and the metadata service of Azure.
var forbiddenRanges = []string{
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32", "fec0::/10", "100::/64", "2001:db8::/32", "5f00::/16",
}

// isPublic reports whether an address may be reached by an untrusted request.
func isPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if address.IsPrivate() || address.IsLoopback() || address.IsUnspecified() || address.IsMulticast() ||
		address.IsLinkLocalUnicast() || address.IsInterfaceLocalMulticast() {
		return false
	}
	for _, text := range forbiddenRanges {
		if netip.MustParsePrefix(text).Contains(address) {
			return false
		}
	}
	if embedded, found := embeddedIPv4(address); found {
		return isPublic(embedded)
	}
	return true
}

// embeddedIPv4 is the IPv4 address that a gateway takes from an IPv6 address.
//
// Source: RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 4291 (IPv4-compatible), RFC 5214 (ISATAP).
func embeddedIPv4(address netip.Addr) (netip.Addr, bool) {
	if !address.Is6() {
		return address, false
	}
	parts := address.As16()
	within := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(address) }
	last := netip.AddrFrom4([4]byte(parts[12:16]))
	switch {
	case within("64:ff9b::/96"), within("64:ff9b:1::/48"), within("::/96"):
		return last, true
	case within("2002::/16"):
		return netip.AddrFrom4([4]byte(parts[2:6])), true
	case within("2001::/32"):
		return netip.AddrFrom4([4]byte{^parts[12], ^parts[13], ^parts[14], ^parts[15]}), true
	case parts[8]&^2 == 0 && parts[9] == 0 && parts[10] == 0x5e && parts[11] == 0xfe:
		return last, true
	}
	return address, false
}

// refuseAddress is the fault of a host that leads to an address that is not public.
func refuseAddress(host string) *Fault {
	return newFault("refused-address", "the host %s leads to an address that is not public, which is refused here", host)
}

// controlDial refuses connections to addresses that are not public, after names are resolved.
func controlDial(host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil || !isPublic(target.Addr()) {
			return refuseAddress(host)
		}
		return nil
	}
}
