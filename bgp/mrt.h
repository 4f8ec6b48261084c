// MrtDump: a table as an MRT file has it, TABLE_DUMP_V2 of RFC 6396; pure.
//
// One record names the peers, one follows for each prefix with all its paths as the decision saw them,
// after import policy, the best one first.  Those that came with a path identifier have a record of their own,
// RFC 8050 4, which old readers skip: they still find all others.  What this host originates is of the peer of index 0: the speaker itself, at
// 0.0.0.0.  When a path came is not kept: records say when they were written.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "bgp/summary.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

/// Type of the records that hold a table, RFC 6396 4.3.
inline constexpr std::uint16_t kMrtTableDumpV2 = 13;
/// Their subtypes, RFC 6396 4.3 and RFC 8050 4.
inline constexpr std::uint16_t kMrtPeerIndexTable = 1;
inline constexpr std::uint16_t kMrtRibIpv4Unicast = 2;
inline constexpr std::uint16_t kMrtRibIpv6Unicast = 4;
inline constexpr std::uint16_t kMrtRibIpv4UnicastAddPath = 8;
inline constexpr std::uint16_t kMrtRibIpv6UnicastAddPath = 10;
/// Bits of a peer's type, RFC 6396 4.3.1.
inline constexpr std::uint8_t kMrtIpv6Address = 0x01;
inline constexpr std::uint8_t kMrtFourOctetAs = 0x02;

/// Who may have sent a path.
struct MrtPeer {
    Ip4 identifier;  ///< 0.0.0.0: not known
    IpAddr address;
    Asn asn;
};

class MrtDump {
  public:
    /// `self`: the speaker; `seconds`: since 1970.  Of more than 65534 peers the first are taken.
    MrtDump(const MrtPeer& self, std::vector<MrtPeer> peers, std::uint32_t seconds);

    /// The first record, PEER_INDEX_TABLE.
    void write_peers(Writer& out) const;

    /// RIB_IPV4_UNICAST, RIB_IPV6_UNICAST, and with path identifiers RIB_IPV4_UNICAST_ADDPATH or
    /// RIB_IPV6_UNICAST_ADDPATH; paths of peers that were not named are left out.
    void write_route(const RouteSummary& route, Writer& out);

  private:
    /// One of the two records: of the paths with identifiers, or of the others; none when there are none.
    void write_record(const RouteSummary& route, bool path_ids, Writer& out);
    void write_header(std::uint16_t subtype, std::size_t length, Writer& out) const;
    [[nodiscard]] bool write_path(
        std::uint16_t peer,
        std::optional<std::uint32_t> path_id,
        const Attributes& attributes,
        Writer& out) const;

    std::vector<MrtPeer> peers_;  ///< by index
    std::map<IpAddr, std::uint16_t> index_;
    std::uint32_t seconds_;
    std::uint32_t sequence_ = 0;
};

}  // namespace vr::bgp
