// UPDATE: RFC 4271 4.3 and 6.3, RFC 4760 for IPv6, RFC 7606 for what errors cost.
//
// decode_update() turns a body into prefixes withdrawn and announced per family, or into the
// NOTIFICATION that RFC 7606 still asks for.  A route with a malformed attribute comes out as
// withdrawn; whatever is wrong, decoding goes on at the attribute section's declared end.  The pack
// functions write as few messages as fit.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/message.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

/// What one UPDATE says about one family.
template <Family F>
struct Reach {
    std::vector<Prefix<F>> withdrawn;
    std::vector<Prefix<F>> announced;
    std::vector<std::uint32_t> withdrawn_ids;  ///< path identifiers, RFC 7911; empty: without
    std::vector<std::uint32_t> announced_ids;
    Attributes attributes;    ///< of `announced`, next hop included; meaningless when that is empty
    bool end_of_rib = false;  ///< RFC 4724 2
};

struct Update {
    std::tuple<Reach<V4>, Reach<V6>> reach;
    /// What was malformed and tolerated: one line each, for the log.
    std::vector<std::string> faults;
    bool treated_as_withdraw = false;

    template <Family F>
    [[nodiscard]] Reach<F>& of() {
        return std::get<Reach<F>>(reach);
    }

    template <Family F>
    [[nodiscard]] const Reach<F>& of() const {
        return std::get<Reach<F>>(reach);
    }
};

[[nodiscard]] Decoded<Update> decode_update(Bytes body, const AttributeContext& context);

/// Appends UPDATE messages that withdraw `prefixes`; answers how many messages.  `ids`: the path
/// identifier of each (RFC 7911); empty: none is written.
template <Family F>
unsigned pack_withdrawals(
    std::span<const Prefix<F>> prefixes,
    std::vector<std::uint8_t>& out,
    std::span<const std::uint32_t> ids = {});

/// Appends UPDATE messages that announce `prefixes`, all with `attributes`; answers how many
/// messages: 0 when the attributes leave no room for a prefix.
template <Family F>
unsigned pack_announcements(
    const Attributes& attributes,
    const AttributeContext& context,
    std::span<const Prefix<F>> prefixes,
    std::vector<std::uint8_t>& out,
    std::span<const std::uint32_t> ids = {});

/// Appends the End-of-RIB marker of the family, RFC 4724 2.
template <Family F>
void encode_end_of_rib(std::vector<std::uint8_t>& out);

}  // namespace vr::bgp
