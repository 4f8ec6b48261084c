// What a Survey finds wrong, and what mends it.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "policy/ipam/cidr.h"
#include "policy/ipam/free_block.h"
#include "policy/ipam/handle.h"
#include "policy/ipam/survey.h"

namespace vr::policy::ipam {

namespace {

std::string attribute(const Allocation& allocation, std::string_view key) {
    const auto found = allocation.attributes.find(std::string(key));
    return found == allocation.attributes.end() ? std::string() : found->second;
}

std::string list_text(const std::vector<std::string>& texts) {
    return fmt::format("{}", fmt::join(texts, ", "));
}

/// How many addresses each handle has in a block.
std::map<std::string, std::uint64_t> counts(const Block& block) {
    std::map<std::string, std::uint64_t> by_handle;
    for (const Allocation& allocation : block.allocations()) {
        ++by_handle[allocation.handle];
    }
    return by_handle;
}

/// Before Calico 3.16 there were no times: an allocation without one is old.
bool has_known_age(const Allocation& allocation) {
    const std::string since = attribute(allocation, kTimeAttribute);
    return since.empty() || parse_time(since).has_value();
}

/// The write that only makes sure that a block is as it was surveyed.
RecordWrite unchanged(const SurveyBlock& stored) {
    return {BlockId{stored.block.cidr()}, stored.block.encode(), stored.revision};
}

}  // namespace

std::string_view to_string(Trouble trouble) {
    constexpr std::array<std::string_view, 12> kNames{
        "leaked_address",
        "wrong_handle",
        "unconfirmed_claim",
        "claim_without_block",
        "block_without_claim",
        "orphaned_block",
        "double_address",
        "overlapping_block",
        "outside_of_pools",
        "unrecorded_address",
        "unreadable",
        "overlapping_pool"};
    return kNames[static_cast<std::size_t>(trouble)];
}

bool Survey::is_leaked(
    const Block& block, const Allocation& allocation, Time now, std::chrono::seconds grace) const {
    if (users_.contains(allocation.address) || allocation.handle == kReservedHandle ||
        (!block.affinity().empty() && block.host().empty())) {
        return false;
    }
    const std::string node = attribute(allocation, kNodeAttribute);
    if (attribute(allocation, kTypeAttribute).ends_with("TunnelAddress") && nodes_.contains(node)) {
        return false;  // the Node may not say so yet
    }
    const auto since = parse_time(attribute(allocation, kTimeAttribute));
    return !since || *since + grace <= now;
}

std::vector<RecordWrite> Survey::without(
    const IpPrefix& cidr, const std::vector<IpAddr>& addresses) const {
    const SurveyBlock& stored = blocks_.at(cidr);
    Block block = stored.block;
    std::map<std::string, HandleBlocks> counted;
    for (const IpAddr& address : addresses) {
        const std::string id = block.find(address)->handle;
        (void)block.release(address);
        const auto handle = handles_.find(id);
        if (handle == handles_.end() || !handle->second.blocks) {
            continue;
        }
        HandleBlocks& blocks = counted.try_emplace(id, *handle->second.blocks).first->second;
        if (const auto at = blocks.find(cidr); at != blocks.end()) {
            at->second -= at->second > 0 ? 1 : 0;
            std::erase_if(blocks, [](const auto& item) { return item.second == 0; });
        }
    }
    std::vector<RecordWrite> writes{{BlockId{cidr}, std::nullopt, stored.revision}};
    if (block.used() > 0 || !block.affinity().empty()) {
        writes.front().value = block.encode();
    }
    for (const auto& [id, blocks] : counted) {
        writes.push_back(handle_write(id, blocks, handles_.at(id).revision));
    }
    return writes;
}

void Survey::find_leaks(Time now, std::chrono::seconds grace, std::vector<Finding>& found) const {
    for (const auto& [cidr, stored] : blocks_) {
        for (const Allocation& allocation : stored.block.allocations()) {
            if (!is_leaked(stored.block, allocation, now, grace)) {
                continue;
            }
            Finding finding{Trouble::LeakedAddress, vr::to_string(allocation.address), {}};
            finding.detail = fmt::format(
                "handle '{}', node '{}', since {}",
                allocation.handle,
                attribute(allocation, kNodeAttribute),
                attribute(allocation, kTimeAttribute).empty()
                    ? "unknown"
                    : attribute(allocation, kTimeAttribute));
            if (!users_known_) {
                finding.detail += "; kept: an object that may use it cannot be read";
            } else if (!has_known_age(allocation)) {
                finding.detail += "; kept: its time cannot be read";
            } else {
                finding.leak = Leak{cidr, allocation.address, stored.revision};
            }
            found.push_back(std::move(finding));
        }
    }
}

void Survey::find_wrong_handles(std::vector<Finding>& found) const {
    std::map<std::string, HandleBlocks> right;
    for (const auto& [cidr, stored] : blocks_) {
        for (const auto& [handle, count] : counts(stored.block)) {
            if (is_id(handle)) {
                right[handle][cidr] = count;
            }
        }
    }
    for (const auto& [id, handle] : handles_) {
        right.try_emplace(id);
    }
    const bool blocks_known = std::ranges::none_of(
        unreadable_, [](const auto& item) { return item.first.starts_with("block "); });
    for (const auto& [id, blocks] : right) {
        const auto known = handles_.find(id);
        const bool stored = known != handles_.end();
        if (stored && known->second.blocks && *known->second.blocks == blocks && !blocks.empty()) {
            continue;
        }
        Finding finding{Trouble::WrongHandle, id, {}};
        finding.detail = blocks.empty() ? "no address is assigned to it"
                         : stored       ? "its record does not count the addresses that it has"
                                        : "it has addresses, but no record";
        if (blocks_known) {
            finding.mend = {handle_write(id, blocks, stored ? known->second.revision : 0)};
        }
        found.push_back(std::move(finding));
    }
}

/// The writes that finish what was begun with a claim.  The block is always one of them: whoever is at
/// work on it, and thus on the claim, is told by that.
std::vector<RecordWrite> Survey::settled_claim(
    const AffinityId& id, const Claimed& claimed, const SurveyBlock* stored) const {
    RecordWrite claim{id, std::nullopt, claimed.revision};
    RecordWrite block{BlockId{id.cidr}, std::nullopt, 0};
    if (stored != nullptr) {
        block = unchanged(*stored);
        const bool own = stored->block.host() == id.host;
        if (own && claimed.state == AffinityState::PendingDeletion && stored->block.used() == 0) {
            block.value.reset();
        } else if (own) {
            claim.value = encode_affinity(AffinityState::Confirmed);
        }
    }
    return {std::move(claim), std::move(block)};
}

void Survey::find_claims(std::vector<Finding>& found) const {
    for (const auto& [id, claimed] : claims_) {
        if (!claimed.state) {
            continue;  // is told as unreadable
        }
        const auto block = blocks_.find(id.cidr);
        const bool lost = unreadable_.contains(to_string(RecordId{BlockId{id.cidr}}));
        const bool own = block != blocks_.end() && block->second.block.host() == id.host;
        if (lost || (own && claimed.state == AffinityState::Confirmed)) {
            continue;
        }
        Finding finding{
            claimed.state == AffinityState::Confirmed ? Trouble::ClaimWithoutBlock
                                                      : Trouble::UnconfirmedClaim,
            vr::to_string(id.cidr),
            {}};
        finding.detail = fmt::format(
            "host {}, {}, {}",
            id.host,
            to_string(*claimed.state),
            own                      ? "the block is its own"
            : block == blocks_.end() ? "there is no such block"
                                     : "the block is another's");
        finding.mend =
            settled_claim(id, claimed, block == blocks_.end() ? nullptr : &block->second);
        found.push_back(std::move(finding));
    }
}

void Survey::find_blocks(std::vector<Finding>& found) const {
    const IpPrefix* before = nullptr;
    for (const auto& [cidr, stored] : blocks_) {
        const std::string text = vr::to_string(cidr);
        const std::string host = stored.block.host();
        if (before != nullptr && overlap(*before, cidr)) {
            found.push_back(
                {Trouble::OverlappingBlock, text, "overlaps " + vr::to_string(*before)});
        }
        before = before != nullptr && contains(*before, cidr) ? before : &cidr;
        if (settings_.pool_of(cidr) == nullptr) {
            found.push_back(
                {Trouble::OutsideOfPools,
                 text,
                 fmt::format("{} addresses are assigned", stored.block.used())});
        }
        const bool nobodys = stored.block.affinity().empty();
        const bool gone = !host.empty() && !nodes_.contains(host);
        const auto claim = claims_.find(AffinityId{host, cidr});
        if (stored.block.used() == 0 && (nobodys || gone)) {
            Finding finding{
                Trouble::OrphanedBlock,
                text,
                nobodys ? "it is nobody's and empty"
                        : "it is empty, and host " + host + " has no Node"};
            finding.mend = {{BlockId{cidr}, std::nullopt, stored.revision}};
            if (claim != claims_.end()) {
                finding.mend.push_back({claim->first, std::nullopt, claim->second.revision});
            }
            found.push_back(std::move(finding));
        } else if (!host.empty() && is_id(host) && claim == claims_.end()) {
            Finding finding{
                Trouble::BlockWithoutClaim, text, "host " + host + " does not claim it"};
            finding.mend = {
                {AffinityId{host, cidr}, encode_affinity(AffinityState::Confirmed), 0},
                unchanged(stored)};
            found.push_back(std::move(finding));
        }
    }
}

void Survey::find_users(std::vector<Finding>& found) const {
    TakenBlocks blocks;
    for (const auto& [cidr, stored] : blocks_) {
        blocks.add(cidr);
    }
    for (const auto& [address, users] : users_) {
        if (users.size() > 1) {
            found.push_back({Trouble::DoubleAddress, vr::to_string(address), list_text(users)});
        }
        const IpPrefix host = host_prefix(address);
        const auto outer = blocks.around(host);
        const bool recorded = std::ranges::any_of(outer, [&](const IpPrefix& cidr) {
            return blocks_.at(cidr).block.find(address).has_value();
        });
        if (settings_.pool_of(host) != nullptr && !recorded) {
            found.push_back({Trouble::UnrecordedAddress, vr::to_string(address), list_text(users)});
        }
    }
}

/// Of each pool the first by name that has addresses of it: that one's blocks they are in.
void Survey::find_pools(std::vector<Finding>& found) const {
    const auto& pools = settings_.pools;
    for (auto one = pools.begin(); one != pools.end(); ++one) {
        const auto other = std::find_if(
            pools.begin(), one, [&](const Pool& pool) { return overlap(pool.cidr, one->cidr); });
        if (other != one) {
            found.push_back({Trouble::OverlappingPool, one->name, "overlaps " + other->name});
        }
    }
}

}  // namespace vr::policy::ipam
