// Rewriting the addresses of one packet, for floating addresses, and its ports, for natOutgoing: bytes in,
// bytes out.  Pure.
//
//   inward   sent to the address: the destination becomes what is behind it
//   outward  sent in its name: the source becomes the address, of an error from any address behind it
// Of ICMP echo the identifier is the requester's port.  An ICMP error's quoted packet went the other way, so there the other side is translated, and the error
// speaks of what its receiver once sent.  Checksums follow by the difference alone (RFC 1624): a wrong
// one stays wrong, and parts that are not here (fragments, what a quote leaves out) do not matter.  What
// checksum a protocol has that covers addresses is known of TCP, UDP, UDP-Lite and ICMPv6; that of SCTP does not,
// and its ports are never replaced.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "vrouter/dataplane/tables.h"

namespace vr {

/// What is to be done to a packet, and what kind it is.
struct TranslationWay {
    bool inward = false;
    bool outward = false;
    bool icmp_error = false;
    /// Outward: the source gives way whatever it is.  An error may come from another address of the guest than
    /// the one that it is about, and that is not known outside either.
    bool any_source = false;
};

/// `bytes` begins with the IP header of a packet that parse_ip() took; false: it did not.
template <Family F>
[[nodiscard]] bool translate_ip(
    std::span<std::uint8_t> bytes,
    const Translation<F>& translation,
    const TranslationWay& way) noexcept;

}  // namespace vr
