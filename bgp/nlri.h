// NLRI: prefixes as UPDATE messages carry them, RFC 4271 4.3 and RFC 4760 5, both families.
//
// Bits behind the prefix length are ignored on receipt, as RFC 4271 says.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "vrouter/net/prefix.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

/// Octets that `prefix` takes on the wire.
template <Family F>
[[nodiscard]] constexpr std::size_t nlri_size(const Prefix<F>& prefix) noexcept {
    return 1 + (prefix.length() + 7) / 8;
}

/// Appends every prefix of `in`; false when one is longer than the family allows or cut short.  `ids`:
/// where the path identifiers go that stand before the prefixes (RFC 7911 3); null: there are none.
template <Family F>
[[nodiscard]] bool decode_nlri(
    Reader in, std::vector<Prefix<F>>& into, std::vector<std::uint32_t>* ids = nullptr) {
    while (!in.empty()) {
        if (ids != nullptr) {
            ids->push_back(in.u32());
        }
        const std::uint8_t length = in.u8();
        const Bytes present = in.bytes((length + 7U) / 8U);
        if (!in.ok() || length > F::kBits) {
            return false;
        }
        std::array<std::uint8_t, F::kAddrBytes> address{};
        if (!present.empty()) {
            std::memcpy(address.data(), present.data(), present.size());
        }
        into.push_back(*Prefix<F>::make(F::Addr::load(address.data()), length));
    }
    return in.ok();
}

template <Family F>
void encode_nlri(const Prefix<F>& prefix, Writer& out) {
    std::array<std::uint8_t, F::kAddrBytes> address{};
    prefix.address().store(address.data());
    out.u8(static_cast<std::uint8_t>(prefix.length()));
    out.bytes(Bytes{address}.first((prefix.length() + 7) / 8));
}

}  // namespace vr::bgp
