// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/allocate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "policy/ipam/cidr.h"
#include "policy/ipam/free_block.h"
#include "policy/ipam/handle.h"
#include "policy/ipam/release.h"
#include "policy/ipam/settings.h"

namespace vr::policy::ipam {

namespace {

enum class Outcome : std::uint8_t { Progressed, Conflict };

/// Nothing: there is nothing to take here.
using Attempt = Result<std::optional<Outcome>>;

struct Claim {
    IpPrefix cidr;
    AffinityState state = AffinityState::Confirmed;
    std::int64_t revision = 0;
};

struct Stored {
    Block block;
    std::int64_t revision = 0;
};

std::string affinity_of(const std::string& host) {
    return std::string(kHostAffinity) + host;
}

/// A longer block is full: etcd takes 1.5 MiB at once, as base64.
constexpr std::size_t kMaxBlock = 1'000'000;

class Allocator {
  public:
    Allocator(Records& records, const Request& request, const Settings& settings, Time now)
        : records_(records), request_(request), settings_(settings), now_(now) {
        attributes_ = request.attributes;
        attributes_[std::string(kNodeAttribute)] = request.host;
        attributes_[std::string(kTimeAttribute)] = time_text(now);
    }

    /// Assigns `count` addresses of IP `version`.
    Result<void> run(int version, std::size_t count) {
        version_ = version;
        std::size_t missing = count;
        for (unsigned tries = 0; missing > 0; ++tries) {
            if (tries == kMaxTries + count) {
                return fail("others were faster too often: try again");
            }
            const std::size_t before = assigned_.size();
            auto done = request_.address ? assign_named() : step(missing);
            if (!done) {
                return std::unexpected(std::move(done).error());
            }
            if (!*done) {
                return fail(why_none());
            }
            missing -= assigned_.size() - before;
        }
        return {};
    }

    [[nodiscard]] const std::vector<Assigned>& assigned() const { return assigned_; }

  private:
    [[nodiscard]] bool is_of_family(const IpPrefix& cidr) const {
        return (version_ == 4) == (cidr.index() == 0);
    }

    [[nodiscard]] bool serves(const Pool& pool) const {
        return is_of_family(pool.cidr) &&
               (request_.pools.empty()
                    ? pool.automatic
                    : pool.usable && std::ranges::count(request_.pools, pool.name) > 0);
    }

    [[nodiscard]] bool serves(const IpPrefix& cidr) const {
        const Pool* pool = settings_.pool_of(cidr);
        return pool != nullptr && serves(*pool);
    }

    [[nodiscard]] bool may_claim() const {
        const Config& config = settings_.config;
        return config.auto_allocate_blocks &&
               (config.max_blocks_per_host == 0 || claims_.size() < config.max_blocks_per_host);
    }

    Result<void> read_claims() {
        const std::array<Range, 1> own{AffinitiesOf{request_.host}};
        const auto listed = records_.list(own, Detail::Full);
        if (!listed) {
            return std::unexpected(listed.error());
        }
        claims_.clear();
        for (const Record& record : *listed) {
            const auto* id = std::get_if<AffinityId>(&record.id);
            if (id != nullptr && id->host == request_.host && is_of_family(id->cidr)) {
                // What cannot be read is there, and is written over when its block is claimed.
                const auto state = decode_affinity(record.value);
                claims_.push_back(
                    {id->cidr, state.value_or(AffinityState::PendingDeletion), record.revision});
            }
        }
        return {};
    }

    Attempt step(std::size_t missing) {
        if (auto read = read_claims(); !read) {
            return std::unexpected(std::move(read).error());
        }
        for (const Claim& claim : claims_) {
            auto attempt = serves(claim.cidr) ? from_own(claim, missing) : Attempt{};
            if (!attempt || *attempt) {
                return attempt;
            }
        }
        auto attempt = may_claim() ? from_free(missing) : Attempt{};
        if (!attempt || *attempt) {
            return attempt;
        }
        return from_others(missing);
    }

    Result<std::optional<Stored>> read_block(const IpPrefix& cidr) {
        const auto record = records_.get(BlockId{cidr});
        if (!record) {
            return std::unexpected(record.error());
        }
        if (!*record) {
            return std::nullopt;
        }
        auto block = Block::decode((*record)->value);
        if (!block || block->cidr() != cidr) {
            return fail(
                to_string((*record)->id) + ": " +
                (block ? "cidr: is another" : block.error().text));
        }
        return Stored{*std::move(block), (*record)->revision};
    }

    Attempt from_own(const Claim& claim, std::size_t missing) {
        auto stored = read_block(claim.cidr);
        if (!stored) {
            return std::nullopt;  // unreadable: there are others
        }
        if (!*stored) {
            return claim.state == AffinityState::PendingDeletion ? Attempt{}
                                                                 : from_claim(claim.cidr, missing);
        }
        Block& block = (*stored)->block;
        if (block.host() != request_.host || claim.state == AffinityState::PendingDeletion) {
            return std::nullopt;
        }
        std::vector<RecordWrite> with;
        if (claim.state == AffinityState::Pending) {
            with.push_back(confirm(claim.cidr));
        }
        return assign(std::move(block), (*stored)->revision, missing, Origin::Own, std::move(with));
    }

    /// Makes this host's claim to `cidr` a confirmed one.
    [[nodiscard]] RecordWrite confirm(const IpPrefix& cidr) const {
        const auto known = std::ranges::find(claims_, cidr, &Claim::cidr);
        return {
            AffinityId{request_.host, cidr},
            encode_affinity(AffinityState::Confirmed),
            known == claims_.end() ? 0 : known->revision};
    }

    [[nodiscard]] Block new_block(const IpPrefix& cidr) const {
        const auto since =
            std::chrono::duration_cast<std::chrono::nanoseconds>(now_.time_since_epoch());
        return {cidr, affinity_of(request_.host), static_cast<std::uint64_t>(since.count())};
    }

    Attempt claim_new(const IpPrefix& cidr, std::size_t missing) {
        return assign(new_block(cidr), 0, missing, Origin::Claimed, {confirm(cidr)});
    }

    Result<TakenBlocks> read_taken() {
        const std::array<Range, 1> blocks{BlocksOf{version_}};
        const auto listed = records_.list(blocks, Detail::Names);
        if (!listed) {
            return std::unexpected(listed.error());
        }
        TakenBlocks taken;
        for (const Record& record : *listed) {
            if (const auto* id = std::get_if<BlockId>(&record.id)) {
                taken.add(id->cidr);
            }
        }
        return taken;
    }

    /// A claim whose block was never made.  Blocks of other sizes may lie there: pools change.
    Attempt from_claim(const IpPrefix& cidr, std::size_t missing) {
        const auto taken = read_taken();
        if (!taken) {
            return std::unexpected(taken.error());
        }
        return taken->overlaps(cidr) ? Attempt{} : claim_new(cidr, missing);
    }

    Attempt from_free(std::size_t missing) {
        const auto taken = read_taken();
        if (!taken) {
            return std::unexpected(taken.error());
        }
        for (const Pool& pool : settings_.pools) {
            if (!serves(pool)) {
                continue;
            }
            if (const auto cidr = free_block(pool, *taken, settings_.reserved, request_.host)) {
                return claim_new(*cidr, missing);
            }
        }
        return std::nullopt;
    }

    /// What other hosts have, as it is at one moment.
    struct Others {
        std::vector<Stored> blocks;
        std::map<AffinityId, std::int64_t> claims;
        std::map<std::string, std::size_t> blocks_of;  ///< by host
        std::set<std::string> nodes;
    };

    Result<Others> read_others() {
        const std::array<Range, 3> ranges{BlocksOf{version_}, AffinitiesOf{}, AllOf{Kind::Node}};
        const auto listed = records_.list(ranges, Detail::Full);
        if (!listed) {
            return std::unexpected(listed.error());
        }
        Others others;
        for (const Record& record : *listed) {
            if (const auto* key = std::get_if<Key>(&record.id)) {
                others.nodes.insert(key->name);
            } else if (const auto* claim = std::get_if<AffinityId>(&record.id)) {
                others.claims[*claim] = record.revision;
            } else if (const auto* id = std::get_if<BlockId>(&record.id)) {
                auto block = Block::decode(record.value);
                if (block && block->cidr() == id->cidr) {
                    ++others.blocks_of[block->host()];
                    others.blocks.push_back({*std::move(block), record.revision});
                }
            }
        }
        return others;
    }

    Attempt from_others(std::size_t missing) {
        auto others = read_others();
        if (!others) {
            return std::unexpected(std::move(others).error());
        }
        looked_at_ = 0;
        for (const Stored& stored : others->blocks) {
            looked_at_ += serves(stored.block.cidr()) ? 1U : 0U;
        }
        auto attempt = may_claim() ? take_over(*others, missing) : Attempt{};
        if (!attempt || *attempt) {
            return attempt;
        }
        return settings_.config.strict_affinity ? Attempt{} : borrow(*others, missing);
    }

    /// A host keeps its last block, empty or not, for as long as it has a Node; not one of a single
    /// address, which spares it no route.
    [[nodiscard]] bool is_spare(const Others& others, const Block& block) const {
        const std::string host = block.host();
        return block.used() == 0 && serves(block.cidr()) && host != request_.host &&
               (block.affinity().empty() ||
                (!host.empty() && (block.size() == 1 || !others.nodes.contains(host) ||
                                   others.blocks_of.at(host) > 1)));
    }

    Attempt take_over(const Others& others, std::size_t missing) {
        for (const auto& [block, revision] : others.blocks) {
            if (!is_spare(others, block) || block.available(settings_.reserved) == 0) {
                continue;
            }
            std::vector<RecordWrite> with{confirm(block.cidr())};
            const AffinityId claim{block.host(), block.cidr()};
            if (const auto known = others.claims.find(claim); known != others.claims.end()) {
                with.push_back({claim, std::nullopt, known->second});
            }
            Block ours = block;
            ours.set_affinity(affinity_of(request_.host));
            return assign(std::move(ours), revision, missing, Origin::TakenOver, std::move(with));
        }
        return std::nullopt;
    }

    /// From the block that has most.
    Attempt borrow(const Others& others, std::size_t missing) {
        const Stored* best = nullptr;
        std::size_t most = 0;
        for (const Stored& stored : others.blocks) {
            const Block& block = stored.block;
            const bool may =
                serves(block.cidr()) && (block.affinity().empty() || !block.host().empty());
            const std::size_t available = may ? block.available(settings_.reserved) : 0;
            if (available > most) {
                most = available;
                best = &stored;
            }
        }
        if (best == nullptr) {
            return std::nullopt;
        }
        return assign(best->block, best->revision, missing, Origin::Borrowed, {});
    }

    Attempt assign(
        Block block,
        std::int64_t revision,
        std::size_t missing,
        Origin origin,
        std::vector<RecordWrite> with) {
        const auto addresses =
            block.assign(missing, request_.handle, attributes_, settings_.reserved);
        if (addresses.empty()) {
            return std::nullopt;
        }
        return commit(block, revision, addresses, origin, std::move(with));
    }

    /// Whether a commit whose answer was lost made `addresses` what they are in `block`.
    [[nodiscard]] bool has_become(const Block& block, const std::vector<IpAddr>& addresses) {
        const auto stored = read_block(block.cidr());
        return stored && *stored && std::ranges::all_of(addresses, [&](const IpAddr& address) {
                   return (*stored)->block.find(address) == block.find(address);
               });
    }

    Attempt commit(
        const Block& block,
        std::int64_t revision,
        const std::vector<IpAddr>& addresses,
        Origin origin,
        std::vector<RecordWrite> writes) {
        const auto count = static_cast<std::int64_t>(addresses.size());
        auto handle = handle_write(records_, request_.handle, block.cidr(), count);
        if (!handle) {
            return std::unexpected(std::move(handle).error());
        }
        writes.push_back(*std::move(handle));
        std::string value = block.encode();
        if (value.size() > kMaxBlock) {
            return std::nullopt;
        }
        writes.push_back({BlockId{block.cidr()}, std::move(value), revision});
        const auto committed = records_.commit(writes);
        if (!committed && !has_become(block, addresses)) {
            return std::unexpected(committed.error());
        }
        if (committed && !*committed) {
            return Outcome::Conflict;
        }
        for (const IpAddr& address : addresses) {
            assigned_.push_back({address, block.cidr(), origin});
        }
        return Outcome::Progressed;
    }

    /// The address that is asked for by name.
    Attempt assign_named() {
        const IpAddr& address = *request_.address;
        const Pool* pool = settings_.pool_of(host_prefix(address));
        if (pool == nullptr || !pool->usable) {
            return fail(vr::to_string(address) + " is in no pool that serves this host");
        }
        if (auto read = read_claims(); !read) {
            return std::unexpected(std::move(read).error());
        }
        const auto taken = read_taken();
        if (!taken) {
            return std::unexpected(taken.error());
        }
        const auto existing = taken->around(host_prefix(address));
        const IpPrefix cidr =
            existing.empty() ? around(address, pool->block_length) : existing.front();
        if (existing.empty() ? taken->overlaps(cidr) : existing.size() > 1) {
            return fail(vr::to_string(address) + " is where blocks overlap, or would");
        }
        auto stored = read_block(cidr);
        if (!stored) {
            return std::unexpected(std::move(stored).error());
        }
        if (!*stored && !existing.empty()) {
            return Outcome::Conflict;  // it went just now
        }
        Block block = *stored ? (*stored)->block : new_block(cidr);
        const bool own = block.host() == request_.host;
        if (*stored ? !own && settings_.config.strict_affinity : !may_claim()) {
            return fail(vr::to_string(address) + " is in a block that this host may not use");
        }
        if (!block.assign_address(address, request_.handle, attributes_)) {
            return fail(vr::to_string(address) + " is taken");
        }
        std::vector<RecordWrite> with;
        if (!*stored) {
            with.push_back(confirm(cidr));
        }
        const Origin origin = !*stored ? Origin::Claimed : own ? Origin::Own : Origin::Borrowed;
        return commit(block, *stored ? (*stored)->revision : 0, {address}, origin, std::move(with));
    }

    [[nodiscard]] std::string why_none() const {
        const auto serving = std::ranges::count_if(
            settings_.pools, [this](const Pool& pool) { return serves(pool); });
        if (serving == 0) {
            return fmt::format(
                "no IPv{} pool serves host {}: none is enabled, allows Workload and selects it",
                version_,
                request_.host);
        }
        const Config& config = settings_.config;
        return fmt::format(
            "no IPv{} address is left for host {} in {} pools with {} blocks{}{}",
            version_,
            request_.host,
            serving,
            looked_at_,
            may_claim()                   ? ""
            : config.auto_allocate_blocks ? "; it has all the blocks that maxBlocksPerHost allows"
                                          : "; blocks are not allocated automatically",
            config.strict_affinity ? "; strict affinity forbids to borrow" : "");
    }

    Records& records_;
    const Request& request_;
    const Settings& settings_;
    Time now_;
    Attributes attributes_;
    int version_ = 4;
    std::vector<Claim> claims_;
    std::vector<Assigned> assigned_;
    std::size_t looked_at_ = 0;
};

/// A block holds the attributes of all its addresses and must fit into one value.
constexpr std::size_t kMaxAttributes = 16;
constexpr std::size_t kMaxText = 1024;

Result<void> check(const Request& request) {
    if (!is_id(request.host) || !is_id(request.handle)) {
        return fail("a host and a handle are words without '/'");
    }
    const std::size_t count = request.count4 + request.count6 + (request.address ? 1 : 0);
    if (count == 0 || count > kMaxAddresses) {
        return fail(fmt::format("from 1 to {} addresses can be asked for at once", kMaxAddresses));
    }
    std::size_t octets = 0;
    for (const auto& [key, value] : request.attributes) {
        octets += key.size() + value.size();
    }
    if (octets > kMaxText || request.attributes.size() > kMaxAttributes) {
        return fail(fmt::format(
            "attributes: at most {}, of at most {} octets in all", kMaxAttributes, kMaxText));
    }
    return {};
}

}  // namespace

std::string_view to_string(Origin origin) {
    constexpr std::array<std::string_view, 4> kNames{"own", "claimed", "taken_over", "borrowed"};
    return kNames[static_cast<std::size_t>(origin)];
}

Result<std::vector<Assigned>> allocate(Records& records, const Request& request, Time now) {
    if (auto good = check(request); !good) {
        return std::unexpected(std::move(good).error());
    }
    const auto settings = read_settings(records, request.host);
    if (!settings) {
        return std::unexpected(settings.error());
    }
    Allocator allocator(records, request, *settings, now);
    Result<void> done;
    if (request.address) {
        done = allocator.run(request.address->index() == 0 ? 4 : 6, 1);
    } else {
        done = allocator.run(4, request.count4);
        if (done) {
            done = allocator.run(6, request.count6);
        }
    }
    if (done) {
        return allocator.assigned();
    }
    std::vector<IpAddr> back;
    for (const Assigned& assigned : allocator.assigned()) {
        back.push_back(assigned.address);
    }
    if (!back.empty()) {
        if (const auto released = release(records, {request.handle, back, {}}); !released) {
            return fail(std::move(done).error().text + "; and " + released.error().text);
        }
    }
    return std::unexpected(std::move(done).error());
}

}  // namespace vr::policy::ipam
