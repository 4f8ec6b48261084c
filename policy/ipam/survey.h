// Survey: all that IPAM and its users have in the datastore at one moment, and what is wrong with it.
// Pure.
//
// An address is used when a WorkloadEndpoint or, as a tunnel's end, a Node has it.  What cannot be read,
// or is invalid, may use anything: then no address counts as leaked.  Addresses of blocks that belong to no host are
// somebody else's business, as are those that Windows hosts reserve.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "policy/ipam/block.h"
#include "policy/ipam/record.h"
#include "policy/ipam/settings.h"
#include "policy/ipam/time.h"

namespace vr::policy::ipam {

enum class Trouble : std::uint8_t {
    LeakedAddress,      ///< assigned, but nobody has it
    WrongHandle,        ///< a handle's record is not what the blocks say
    UnconfirmedClaim,   ///< a claim that was never finished
    ClaimWithoutBlock,  ///< confirmed, but the block is not there or another host's
    BlockWithoutClaim,  ///< of a host that does not claim it
    OrphanedBlock,      ///< empty, of a host without a Node, or of nobody
    DoubleAddress,      ///< several endpoints have it
    OverlappingBlock,   ///< two blocks with the same addresses
    OutsideOfPools,     ///< a block that no pool contains
    UnrecordedAddress,  ///< an endpoint in a pool has it, but it is not assigned
    Unreadable,         ///< a record that cannot be read
    OverlappingPool,    ///< two pools with the same addresses
};

/// "leaked_address"
[[nodiscard]] std::string_view to_string(Trouble trouble);

/// An address that may be released.
struct Leak {
    IpPrefix block;
    IpAddr address;
    std::int64_t revision = 0;  ///< of the block
};

struct Finding {
    Trouble trouble = Trouble::Unreadable;
    std::string subject;  ///< an address, a block, a handle, ...
    std::string detail;
    /// What mends it; if there is neither, a person must decide.
    std::vector<RecordWrite> mend{};
    std::optional<Leak> leak{};
};

struct SurveyBlock {
    Block block;
    std::int64_t revision = 0;
};

/// How old an allocation must be to have leaked, unless it is said: time enough to start anything.
inline constexpr std::chrono::seconds kGrace{900};

class Survey {
  public:
    /// What there is to read, beside the configuration.
    [[nodiscard]] static std::vector<Range> ranges();

    explicit Survey(std::vector<Record> records);

    [[nodiscard]] const std::map<IpPrefix, SurveyBlock>& blocks() const { return blocks_; }

    /// The state of a claim; nothing when there is none.
    [[nodiscard]] std::optional<AffinityState> claim(
        const std::string& host, const IpPrefix& cidr) const;

    /// The pool that a block is in; null: none.
    [[nodiscard]] const Pool* pool_of(const IpPrefix& cidr) const {
        return settings_.pool_of(cidr);
    }

    /// Who has an address: endpoints as "NAMESPACE/NAME", nodes as "Node NAME".
    [[nodiscard]] std::vector<std::string> users_of(const IpAddr& address) const;

    /// Everything that is wrong.  Addresses that were assigned within `grace` before `now` are not
    /// leaked yet: their endpoints may be about to be written.
    [[nodiscard]] std::vector<Finding> findings(Time now, std::chrono::seconds grace) const;

    /// The writes by which these addresses of a block are released, handles as they were surveyed.
    [[nodiscard]] std::vector<RecordWrite> without(
        const IpPrefix& block, const std::vector<IpAddr>& addresses) const;

    /// Takes over what was written and has `revision` now.
    void apply(const std::vector<RecordWrite>& writes, std::int64_t revision);

  private:
    struct Claimed {
        std::optional<AffinityState> state;  ///< absent: unreadable
        std::int64_t revision = 0;
    };

    struct Handle {
        std::optional<HandleBlocks> blocks;  ///< absent: unreadable
        std::int64_t revision = 0;
    };

    void take(const Record& record);
    void take_resource(const Key& key, const Record& record);
    void take_strange(const std::string& key);
    void take_endpoint(const Key& key, const std::string& value);
    void take_node(const Key& key, const std::string& value);
    void lose_users(const Key& key, std::string why);
    void forget(const RecordId& id);
    [[nodiscard]] bool is_leaked(
        const Block& block,
        const Allocation& allocation,
        Time now,
        std::chrono::seconds grace) const;
    void find_leaks(Time now, std::chrono::seconds grace, std::vector<Finding>& found) const;
    void find_wrong_handles(std::vector<Finding>& found) const;
    [[nodiscard]] std::vector<RecordWrite> settled_claim(
        const AffinityId& id, const Claimed& claimed, const SurveyBlock* stored) const;
    void find_claims(std::vector<Finding>& found) const;
    void find_blocks(std::vector<Finding>& found) const;
    void find_users(std::vector<Finding>& found) const;
    void find_pools(std::vector<Finding>& found) const;

    Settings settings_;
    std::map<IpPrefix, SurveyBlock> blocks_;
    std::map<AffinityId, Claimed> claims_;
    std::map<std::string, Handle> handles_;
    std::set<std::string> nodes_;
    std::map<IpAddr, std::vector<std::string>> users_;
    std::map<std::string, std::string> unreadable_;  ///< what -> why
    bool users_known_ = true;
};

}  // namespace vr::policy::ipam
