// Path attributes: one canonical set per route, one table row per attribute (attributes.cc).
//
// A row carries code, name, wanted flags, what a malformed one costs (RFC 7606) and the functions that
// read, write and show it.  MP_REACH_NLRI and MP_UNREACH_NLRI have rows for their flags and names
// only: update.cc reads them, since they carry prefixes.  AS4_PATH and AS4_AGGREGATOR never live in a
// set: they are merged on receipt and made again for 2-octet speakers (RFC 6793).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "bgp/as_path.h"
#include "bgp/compact_vector.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

/// Whose routes: decides what crosses the session and how paths rank.
enum class PeerKind : std::uint8_t { Local, Internal, External };

[[nodiscard]] std::string_view to_string(PeerKind kind);

enum class Origin : std::uint8_t { Igp = 0, Egp = 1, Incomplete = 2 };

struct Aggregator {
    Asn asn;
    Ip4 address;

    friend auto operator<=>(const Aggregator&, const Aggregator&) = default;
};

/// RFC 8092.
struct LargeCommunity {
    std::uint32_t global = 0;
    std::uint32_t local1 = 0;
    std::uint32_t local2 = 0;

    friend auto operator<=>(const LargeCommunity&, const LargeCommunity&) = default;
};

/// Well-known communities that the core enforces, RFC 1997.
namespace community {
inline constexpr std::uint32_t kNoExport = 0xffffff01;
inline constexpr std::uint32_t kNoAdvertise = 0xffffff02;
inline constexpr std::uint32_t kNoExportSubconfed = 0xffffff03;
/// RFC 9494 4: of a peer that is long gone; not to be kept for one.
inline constexpr std::uint32_t kLlgrStale = 0xffff0006;
inline constexpr std::uint32_t kNoLlgr = 0xffff0007;
}  // namespace community

/// Default degree of preference of a route that brings no LOCAL_PREF.
inline constexpr std::uint32_t kDefaultLocalPref = 100;

/// An attribute that we pass on without knowing it.
struct UnknownAttribute {
    std::uint8_t flags = 0;
    std::uint8_t code = 0;
    std::vector<std::uint8_t> value;

    friend bool operator==(const UnknownAttribute&, const UnknownAttribute&) = default;
};

struct Attributes {
    Origin origin = Origin::Igp;
    bool atomic_aggregate = false;
    AsPath as_path;
    /// Unspecified on own routes: the speaker puts its own address towards each peer.
    IpAddr next_hop;
    std::optional<Ip6> next_hop_link_local;  ///< RFC 2545 3
    std::optional<std::uint32_t> med;
    std::optional<std::uint32_t> local_pref;
    std::optional<Aggregator> aggregator;
    std::optional<Ip4> originator_id;
    CompactVector<Ip4> cluster_list;
    CompactVector<std::uint32_t> communities;
    CompactVector<std::uint64_t> extended_communities;
    CompactVector<LargeCommunity> large_communities;
    CompactVector<UnknownAttribute> unknown;  ///< optional transitive only
    /// A bit for the code of each known attribute that somebody on the way did not know (RFC 4271 5).
    std::uint64_t partial = 0;

    [[nodiscard]] bool has_community(std::uint32_t community) const;

    friend bool operator==(const Attributes&, const Attributes&) = default;
};

[[nodiscard]] std::size_t hash_value(const Attributes& attributes) noexcept;

namespace attribute_flag {
inline constexpr std::uint8_t kOptional = 0x80;
inline constexpr std::uint8_t kTransitive = 0x40;
inline constexpr std::uint8_t kPartial = 0x20;
inline constexpr std::uint8_t kExtendedLength = 0x10;
}  // namespace attribute_flag

namespace attribute_code {
inline constexpr std::uint8_t kOrigin = 1;
inline constexpr std::uint8_t kAsPath = 2;
inline constexpr std::uint8_t kNextHop = 3;
inline constexpr std::uint8_t kAggregator = 7;
inline constexpr std::uint8_t kMpReach = 14;
inline constexpr std::uint8_t kMpUnreach = 15;
inline constexpr std::uint8_t kAs4Path = 17;
inline constexpr std::uint8_t kAs4Aggregator = 18;
}  // namespace attribute_code

/// What a malformed attribute costs, RFC 7606 2, mildest first.
enum class OnError : std::uint8_t { Discard, Withdraw, Reset };

/// Who may send an attribute; from anyone else it is dropped without further look (RFC 7606 7).
enum class SentBy : std::uint8_t { Anyone, InternalPeer, TwoOctetSpeaker };

/// What a session decides about reading and writing attributes.
struct AttributeContext {
    AsWidth as_width = AsWidth::Four;
    PeerKind peer = PeerKind::External;
    bool ipv4_over_ipv6 = false;      ///< IPv4 routes may have IPv6 next hops, RFC 8950
    std::size_t message_size = 4096;  ///< of the messages that we send, at most (RFC 8654)
    /// Prefixes carry path identifiers (RFC 7911), in the direction that is read or written.
    bool path_ids4 = false;
    bool path_ids6 = false;

    template <Family F>
    [[nodiscard]] bool path_ids() const noexcept {
        return std::is_same_v<F, V4> ? path_ids4 : path_ids6;
    }

    friend bool operator==(const AttributeContext&, const AttributeContext&) = default;
};

/// Attributes being read: the set, and what RFC 6793 needs until the end of the message.
struct AttributeDraft {
    Attributes set;
    std::optional<AsPath> as4_path;
    std::optional<Aggregator> as4_aggregator;
};

struct AttributeRow {
    std::uint8_t code;
    std::string_view name;
    std::uint8_t flags;  ///< wanted Optional and Transitive bits
    OnError on_error;
    SentBy sent_by;
    /// Reads the value; false when it is malformed.
    bool (*decode)(Reader& value, const AttributeContext& context, AttributeDraft& into);
    /// Writes the value; false when the set has no such attribute.
    bool (*encode)(const Attributes& from, const AttributeContext& context, Writer& value);
    /// The value for people; empty when the set has no such attribute.
    std::string (*text)(const Attributes& from);
};

/// Every attribute known, by ascending code.
[[nodiscard]] std::span<const AttributeRow> attribute_rows();

/// The row of `code`, or nullptr.
[[nodiscard]] const AttributeRow* attribute_row(std::uint8_t code);

/// Writes one attribute with its header.
void encode_attribute(std::uint8_t flags, std::uint8_t code, Bytes value, Writer& out);

/// Writes the whole set but for the multiprotocol attributes, in ascending order of codes (RFC 4271
/// 5).  NEXT_HOP is written when the next hop is an IPv4 address.
void encode_attributes(const Attributes& from, const AttributeContext& context, Writer& out);

/// What the end of a message makes of a draft: the 4-octet path and aggregator put in place.
[[nodiscard]] Attributes finish(AttributeDraft&& draft);

/// "origin igp, as-path 65001 65002, next-hop 192.0.2.1, ...".
[[nodiscard]] std::string to_string(const Attributes& attributes);

/// "64512:100"; well-known ones by name.
[[nodiscard]] std::string community_text(std::uint32_t community);

}  // namespace vr::bgp
