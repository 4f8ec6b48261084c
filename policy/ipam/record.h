// Records: what IPAM keeps in a datastore beside blocks, and the datastore as IPAM sees it.  DATASTORE 3.1.
//
// Pure.  A Records is asked from a thread that may wait.  What it is told to commit happens as a whole
// and only if nobody else wrote one of the records meanwhile: that is all that IPAM needs to be safe
// beside any number of others, Calico's own IPAM among them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/model.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"

namespace vr::policy::ipam {

// --- what there is ----------------------------------------------------------------------------

struct BlockId {
    IpPrefix cidr;
    friend auto operator<=>(const BlockId&, const BlockId&) = default;
};

/// The claim of a host to a block.
struct AffinityId {
    std::string host;
    IpPrefix cidr;
    friend auto operator<=>(const AffinityId&, const AffinityId&) = default;
};

/// Which blocks have addresses of one owner.
struct HandleId {
    std::string id;
    friend auto operator<=>(const HandleId&, const HandleId&) = default;
};

struct ConfigId {
    friend auto operator<=>(const ConfigId&, const ConfigId&) = default;
};

/// An IPReservation.
struct ReservationId {
    std::string name;
    friend auto operator<=>(const ReservationId&, const ReservationId&) = default;
};

/// Something else that lies among the records; it is never written.
struct StrangeId {
    std::string key;
    friend auto operator<=>(const StrangeId&, const StrangeId&) = default;
};

/// Key: a resource, which IPAM only reads.
using RecordId =
    std::variant<BlockId, AffinityId, HandleId, ConfigId, ReservationId, Key, StrangeId>;

[[nodiscard]] std::string to_string(const RecordId& id);

struct Record {
    RecordId id;
    std::string value;
    std::int64_t revision = 0;
};

struct RecordWrite {
    RecordId id;
    std::optional<std::string> value;    ///< absent: delete
    std::int64_t expected_revision = 0;  ///< as seen; 0: it must not exist
};

// --- the datastore ----------------------------------------------------------------------------

struct BlocksOf {
    int version = 4;  ///< of IP
};

/// Of one host, or of all if it is empty.
struct AffinitiesOf {
    std::string host;
};

struct AllHandles {};

struct AllReservations {};

struct AllOf {
    Kind kind = Kind::IPPool;
};

using Range = std::variant<BlocksOf, AffinitiesOf, AllHandles, AllReservations, AllOf>;

enum class Detail : std::uint8_t {
    Full,
    Names,  ///< values are left out
};

class Records {
  public:
    Records() = default;
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    Records(Records&&) = delete;
    Records& operator=(Records&&) = delete;
    virtual ~Records() = default;

    /// Nothing when it does not exist.
    [[nodiscard]] virtual Result<std::optional<Record>> get(const RecordId& id) = 0;

    /// All that is in `ranges`, as it is at one moment.
    [[nodiscard]] virtual Result<std::vector<Record>> list(
        std::span<const Range> ranges, Detail detail) = 0;

    /// The revision of what was written; nothing when a record was not as expected.
    [[nodiscard]] virtual Result<std::optional<std::int64_t>> commit(
        const std::vector<RecordWrite>& writes) = 0;
};

// --- values -----------------------------------------------------------------------------------

enum class AffinityState : std::uint8_t { Confirmed, Pending, PendingDeletion };

[[nodiscard]] std::string_view to_string(AffinityState state);

/// A claim that is not confirmed counts as none; one that says no state is.
[[nodiscard]] Result<AffinityState> decode_affinity(std::string_view json);
[[nodiscard]] std::string encode_affinity(AffinityState state);

/// How many addresses of which block; no more than a block may have.
using HandleBlocks = std::map<IpPrefix, std::uint64_t>;

[[nodiscard]] Result<HandleBlocks> decode_handle(std::string_view json);
[[nodiscard]] std::string encode_handle(const HandleBlocks& blocks);

/// True for what a handle's id, or the name of a host, may be: it becomes a part of a key.
[[nodiscard]] bool is_id(std::string_view text);

/// What is true for the whole cluster.
struct Config {
    bool strict_affinity = false;         ///< nothing is taken from blocks of other hosts
    bool auto_allocate_blocks = true;     ///< blocks are claimed when they are needed
    std::size_t max_blocks_per_host = 0;  ///< 0: any number

    friend bool operator==(const Config&, const Config&) = default;
};

[[nodiscard]] Result<Config> decode_config(std::string_view json);

/// The addresses that an IPReservation keeps for others.
[[nodiscard]] Result<std::vector<IpPrefix>> decode_reservation(std::string_view json);

}  // namespace vr::policy::ipam
