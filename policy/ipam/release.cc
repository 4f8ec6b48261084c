// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/release.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "policy/ipam/allocate.h"
#include "policy/ipam/cidr.h"
#include "policy/ipam/handle.h"

namespace vr::policy::ipam {

namespace {

/// etcd takes 128 writes at once, as a rule.
constexpr std::size_t kMaxHandles = 100;

struct StoredBlock {
    Block block;
    std::int64_t revision = 0;
};

Result<std::optional<StoredBlock>> read_block(Records& records, const IpPrefix& cidr) {
    const auto record = records.get(BlockId{cidr});
    if (!record) {
        return std::unexpected(record.error());
    }
    if (!*record) {
        return std::nullopt;
    }
    auto block = Block::decode((*record)->value);
    if (!block) {
        return fail(std::move(block).error(), to_string((*record)->id));
    }
    return StoredBlock{*std::move(block), (*record)->revision};
}

/// The addresses of `block` that the request is about, all of which may be released.
Result<std::vector<IpAddr>> pick(const Block& block, const Release& request) {
    std::vector<IpAddr> picked;
    for (const Allocation& allocation : block.allocations()) {
        const bool named = std::ranges::count(request.addresses, allocation.address) > 0;
        const bool owned = request.handle.empty() || allocation.handle == request.handle;
        if (request.addresses.empty() ? !owned : !named) {
            continue;
        }
        if (!owned) {
            return fail(
                vr::to_string(allocation.address) + " belongs to handle '" + allocation.handle +
                "'");
        }
        if (request.sequence && *request.sequence != allocation.sequence) {
            return fail(vr::to_string(allocation.address) + " was assigned anew meanwhile");
        }
        picked.push_back(allocation.address);
    }
    return picked;
}

/// The first of `addresses` that are of few enough handles for one commit.
std::vector<IpAddr> portion(const Block& block, std::vector<IpAddr> addresses) {
    std::set<std::string> handles;
    const auto end = std::ranges::find_if(addresses, [&](const IpAddr& address) {
        handles.insert(block.find(address)->handle);
        return handles.size() > kMaxHandles;
    });
    addresses.erase(end, addresses.end());
    return addresses;
}

/// Releases what the request names of one block; who was slower tries again.
Result<std::vector<IpAddr>> release_in(
    Records& records, const IpPrefix& cidr, const Release& request) {
    std::vector<IpAddr> released;
    for (unsigned tries = 0; tries < kMaxTries;) {
        auto stored = read_block(records, cidr);
        if (!stored) {
            return std::unexpected(std::move(stored).error());
        }
        auto picked = *stored ? pick((*stored)->block, request) : std::vector<IpAddr>{};
        if (!picked) {
            return picked;
        }
        if (picked->empty()) {
            return released;
        }
        const auto now = portion((*stored)->block, *std::move(picked));
        const auto writes =
            release_writes(records, std::move((*stored)->block), (*stored)->revision, now);
        if (!writes) {
            return std::unexpected(writes.error());
        }
        const auto committed = records.commit(*writes);
        if (!committed) {
            return std::unexpected(committed.error());
        }
        if (*committed) {
            released.insert(released.end(), now.begin(), now.end());
        } else {
            ++tries;
        }
    }
    return fail("others were faster too often: try again");
}

Result<std::vector<IpPrefix>> blocks_of_handle(Records& records, const std::string& handle) {
    const auto record = records.get(HandleId{handle});
    if (!record) {
        return std::unexpected(record.error());
    }
    std::vector<IpPrefix> blocks;
    if (*record) {
        const auto decoded = decode_handle((*record)->value);
        if (!decoded) {
            return fail(to_string((*record)->id) + ": " + decoded.error().text);
        }
        for (const auto& [cidr, count] : *decoded) {
            blocks.push_back(cidr);
        }
    }
    return blocks;
}

Result<std::vector<IpPrefix>> blocks_around(
    Records& records, const std::vector<IpAddr>& addresses) {
    constexpr std::array<Range, 2> kAll{BlocksOf{4}, BlocksOf{6}};
    const auto listed = records.list(kAll, Detail::Names);
    if (!listed) {
        return std::unexpected(listed.error());
    }
    std::vector<IpPrefix> blocks;
    for (const Record& record : *listed) {
        const auto* id = std::get_if<BlockId>(&record.id);
        const auto is_in = [id](const IpAddr& address) { return contains(id->cidr, address); };
        if (id != nullptr && std::ranges::any_of(addresses, is_in)) {
            blocks.push_back(id->cidr);
        }
    }
    return blocks;
}

}  // namespace

Result<std::vector<RecordWrite>> release_writes(
    Records& records, Block block, std::int64_t revision, const std::vector<IpAddr>& addresses) {
    std::map<std::string, std::int64_t> fewer;  // by handle
    for (const IpAddr& address : addresses) {
        const auto allocation = block.find(address);
        if (allocation && block.release(address) && !allocation->handle.empty()) {
            --fewer[allocation->handle];
        }
    }
    std::vector<RecordWrite> writes{{BlockId{block.cidr()}, std::nullopt, revision}};
    if (block.used() > 0 || !block.affinity().empty()) {
        writes.front().value = block.encode();
    }
    for (const auto& [handle, count] : fewer) {
        if (!is_id(handle)) {
            continue;  // it has no record: none can be named like this
        }
        auto write = handle_write(records, handle, block.cidr(), count);
        if (!write) {
            return std::unexpected(std::move(write).error());
        }
        if (write->value || write->expected_revision != 0) {
            writes.push_back(*std::move(write));
        }
    }
    return writes;
}

Result<std::vector<IpAddr>> release(Records& records, const Release& request) {
    if (request.handle.empty() ? request.addresses.empty() : !is_id(request.handle)) {
        return fail("a handle, a word without '/', or addresses are needed");
    }
    const auto blocks = request.addresses.empty() ? blocks_of_handle(records, request.handle)
                                                  : blocks_around(records, request.addresses);
    if (!blocks) {
        return std::unexpected(blocks.error());
    }
    std::vector<IpAddr> released;
    for (const IpPrefix& cidr : *blocks) {
        auto done = release_in(records, cidr, request);
        if (!done) {
            return std::unexpected(std::move(done).error());
        }
        released.insert(released.end(), done->begin(), done->end());
    }
    return released;
}

}  // namespace vr::policy::ipam
