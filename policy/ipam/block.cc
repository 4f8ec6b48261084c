// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/block.h"

#include <algorithm>
#include <utility>

#include "policy/ipam/cidr.h"

namespace vr::policy::ipam {

Block::Block(IpPrefix cidr, std::string affinity, std::uint64_t sequence)
    : cidr_(cidr),
      affinity_(std::move(affinity)),
      taken_(std::size_t{1} << (width_of(cidr) - length_of(cidr))),
      free_(taken_.size()),
      sequence_(sequence) {
    for (std::size_t i = 0; i < free_.size(); ++i) {
        free_[i] = i;
    }
}

bool Block::is_empty() const {
    return std::ranges::all_of(taken_, [this](const auto& owner) {
        return !owner || owners_[*owner].handle == kReservedHandle;
    });
}

std::string Block::host() const {
    return affinity_.starts_with(kHostAffinity) ? affinity_.substr(kHostAffinity.size())
                                                : std::string();
}

Allocation Block::allocation(std::size_t ordinal) const {
    const Owner& owner = owners_[*taken_[ordinal]];
    const auto sequence = sequence_of_.find(ordinal);
    return {
        nth(cidr_, ordinal),
        owner.handle,
        owner.attributes,
        sequence == sequence_of_.end() ? 0 : sequence->second};
}

std::vector<Allocation> Block::allocations() const {
    std::vector<Allocation> all;
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        if (taken_[i]) {
            all.push_back(allocation(i));
        }
    }
    return all;
}

std::optional<Allocation> Block::find(const IpAddr& address) const {
    const auto at = ordinal(cidr_, address);
    return at && taken_[*at] ? std::optional(allocation(*at)) : std::nullopt;
}

std::size_t Block::available(std::span<const IpPrefix> reserved) const {
    if (deleted_) {
        return 0;
    }
    if (reserved.empty()) {
        return free_.size();
    }
    return static_cast<std::size_t>(std::ranges::count_if(free_, [&](std::size_t ordinal) {
        return std::ranges::none_of(
            reserved, [&](const IpPrefix& net) { return contains(net, nth(cidr_, ordinal)); });
    }));
}

std::size_t Block::owner(const std::string& handle, const Attributes& attributes) {
    Owner wanted{handle, attributes, {}};
    const auto known = std::ranges::find(owners_, wanted);
    if (known != owners_.end()) {
        return static_cast<std::size_t>(known - owners_.begin());
    }
    owners_.push_back(std::move(wanted));
    return owners_.size() - 1;
}

void Block::take(std::size_t ordinal, std::size_t owner) {
    taken_[ordinal] = owner;
    std::erase(free_, ordinal);
    sequence_of_[ordinal] = sequence_;
}

std::vector<IpAddr> Block::assign(
    std::size_t count,
    const std::string& handle,
    const Attributes& attributes,
    std::span<const IpPrefix> reserved) {
    std::vector<IpAddr> given;
    const std::vector<std::size_t> free = deleted_ ? std::vector<std::size_t>{} : free_;
    for (const std::size_t candidate : free) {
        const IpAddr address = nth(cidr_, candidate);
        const bool is_reserved = std::ranges::any_of(
            reserved, [&](const IpPrefix& net) { return contains(net, address); });
        if (given.size() < count && !is_reserved) {
            take(candidate, owner(handle, attributes));
            given.push_back(address);
        }
    }
    sequence_ += given.empty() ? 0 : 1;
    return given;
}

bool Block::assign_address(
    const IpAddr& address, const std::string& handle, const Attributes& attributes) {
    const auto at = ordinal(cidr_, address);
    if (deleted_ || !at || taken_[*at]) {
        return false;
    }
    take(*at, owner(handle, attributes));
    ++sequence_;
    return true;
}

bool Block::release(const IpAddr& address) {
    const auto at = ordinal(cidr_, address);
    if (!at || !taken_[*at]) {
        return false;
    }
    const std::size_t owner = *std::exchange(taken_[*at], std::nullopt);
    free_.push_back(*at);
    sequence_of_.erase(*at);
    ++sequence_;
    if (std::ranges::find(taken_, std::optional(owner)) == taken_.end()) {
        owners_.erase(owners_.begin() + static_cast<std::ptrdiff_t>(owner));
        for (auto& other : taken_) {
            if (other && *other > owner) {
                --*other;
            }
        }
    }
    return true;
}

}  // namespace vr::policy::ipam
