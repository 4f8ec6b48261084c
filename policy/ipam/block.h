// Block: the addresses of one allocation block and who has which, as Calico keeps it.  DATASTORE 3.2.
//
// Pure value with one text form, the JSON that Calico's own IPAM reads and writes; both may use one
// datastore.  A Block always holds together: every free address is listed once, every taken one has
// attributes.  decode() refuses the rest.  Fields of later versions are kept as they are.
//
// Free addresses are given out in the order in which they were released: an address is used again as
// late as possible.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"

namespace vr::policy::ipam {

/// What is known of an allocation beside its handle: "node", "pod", "namespace", "type", "timestamp".
using Attributes = std::map<std::string, std::string>;

inline constexpr std::string_view kNodeAttribute = "node";
inline constexpr std::string_view kTypeAttribute = "type";
inline constexpr std::string_view kTimeAttribute = "timestamp";

/// What the affinity to a host begins with.
inline constexpr std::string_view kHostAffinity = "host:";

/// What Calico takes addresses with that no workload shall have on Windows hosts.
inline constexpr std::string_view kReservedHandle = "windows-reserved-ipam-handle";

struct Allocation {
    IpAddr address;
    std::string handle;  ///< empty: none
    Attributes attributes;
    std::uint64_t sequence = 0;  ///< of the block when it was made

    friend bool operator==(const Allocation&, const Allocation&) = default;
};

class Block {
  public:
    /// Of how many addresses a block may be.
    static constexpr unsigned kMaxBits = 12;

    /// An empty block of at most 2^kMaxBits addresses.  `sequence` should never have been used by an
    /// earlier block of these addresses: the time will do.
    Block(IpPrefix cidr, std::string affinity, std::uint64_t sequence);

    [[nodiscard]] static Result<Block> decode(std::string_view json);
    [[nodiscard]] std::string encode() const;

    [[nodiscard]] const IpPrefix& cidr() const { return cidr_; }

    [[nodiscard]] std::size_t size() const { return taken_.size(); }

    [[nodiscard]] std::size_t used() const { return taken_.size() - free_.size(); }

    /// True when no workload has an address of it.
    [[nodiscard]] bool is_empty() const;

    /// "host:NAME" or "virtual:NAME"; empty: nobody's.
    [[nodiscard]] const std::string& affinity() const { return affinity_; }

    /// The host that it is affine to; empty: none.
    [[nodiscard]] std::string host() const;

    void set_affinity(std::string affinity) { affinity_ = std::move(affinity); }

    /// Somebody is about to delete it: nothing is to be taken from it.
    [[nodiscard]] bool is_deleted() const { return deleted_; }

    [[nodiscard]] std::vector<Allocation> allocations() const;
    [[nodiscard]] std::optional<Allocation> find(const IpAddr& address) const;

    /// How many addresses assign() could give.
    [[nodiscard]] std::size_t available(std::span<const IpPrefix> reserved) const;

    /// Takes up to `count` addresses outside of `reserved`.
    [[nodiscard]] std::vector<IpAddr> assign(
        std::size_t count,
        const std::string& handle,
        const Attributes& attributes,
        std::span<const IpPrefix> reserved);

    /// Takes this address; false when it is taken, or not in the block.
    [[nodiscard]] bool assign_address(
        const IpAddr& address, const std::string& handle, const Attributes& attributes);

    /// Gives an address back; false when it was free, or is not in the block.
    bool release(const IpAddr& address);

    friend bool operator==(const Block&, const Block&) = default;

  private:
    struct Owner {
        std::string handle;  ///< empty: none
        Attributes attributes;
        std::string others;  ///< further fields, JSON; empty: none

        friend bool operator==(const Owner&, const Owner&) = default;
    };

    class Reader;

    Block() = default;
    [[nodiscard]] std::size_t owner(const std::string& handle, const Attributes& attributes);
    void take(std::size_t ordinal, std::size_t owner);
    [[nodiscard]] Allocation allocation(std::size_t ordinal) const;

    IpPrefix cidr_;
    std::string affinity_;
    std::vector<std::optional<std::size_t>> taken_;  ///< by ordinal: which of owners_
    std::vector<std::size_t> free_;                  ///< ordinals, the next to give out first
    std::vector<Owner> owners_;
    std::uint64_t sequence_ = 0;
    std::map<std::size_t, std::uint64_t> sequence_of_;  ///< by ordinal
    bool deleted_ = false;
    std::string others_;  ///< further fields, JSON; empty: none
};

}  // namespace vr::policy::ipam
