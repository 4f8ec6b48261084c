// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/free_block.h"

#include <algorithm>
#include <cstdint>

#include "policy/ipam/block.h"
#include "policy/ipam/cidr.h"

namespace vr::policy::ipam {

namespace {

/// Of how many blocks of a pool the first are candidates: a search ends soon, whatever is reserved.
constexpr unsigned kMaxBits = 20;

std::uint64_t place_of(const std::string& host) {
    std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
    for (const char c : host) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    }
    return hash;
}

bool is_usable(const IpPrefix& cidr, std::span<const IpPrefix> reserved) {
    const bool touched =
        std::ranges::any_of(reserved, [&](const IpPrefix& net) { return overlap(net, cidr); });
    return !touched || Block(cidr, {}, 0).available(reserved) > 0;
}

}  // namespace

void TakenBlocks::add(const IpPrefix& cidr) {
    all_.insert(cidr);
    lengths_.insert(length_of(cidr));
}

bool TakenBlocks::overlaps(const IpPrefix& cidr) const {
    const auto inside = all_.lower_bound(cidr);
    return !around(cidr).empty() || (inside != all_.end() && contains(cidr, *inside));
}

std::vector<IpPrefix> TakenBlocks::around(const IpPrefix& cidr) const {
    std::vector<IpPrefix> found;
    for (const unsigned length : lengths_) {
        if (length > length_of(cidr)) {
            break;
        }
        const IpPrefix outer = ipam::around(nth(cidr, 0), length);
        if (all_.contains(outer)) {
            found.push_back(outer);
        }
    }
    return found;
}

std::optional<IpPrefix> free_block(
    const Pool& pool,
    const TakenBlocks& taken,
    std::span<const IpPrefix> reserved,
    const std::string& host) {
    const unsigned bits = std::min(pool.block_length - length_of(pool.cidr), kMaxBits);
    const std::uint64_t blocks = std::uint64_t{1} << bits;
    const unsigned size = width_of(pool.cidr) - pool.block_length;
    const std::uint64_t first = place_of(host) % blocks;
    for (std::uint64_t i = 0; i < blocks; ++i) {
        const std::uint64_t number = (first + i) % blocks;
        const IpPrefix cidr = around(nth(pool.cidr, number << size), pool.block_length);
        if (!taken.overlaps(cidr) && is_usable(cidr, reserved)) {
            return cidr;
        }
    }
    return std::nullopt;
}

}  // namespace vr::policy::ipam
