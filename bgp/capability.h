// Capabilities of an OPEN, RFC 5492: one row per capability.
//
// Understood: multiprotocol (RFC 4760), route refresh (RFC 2918) and enhanced (RFC 7313), next hops of
// the other family (RFC 8950), extended messages (RFC 8654), graceful restart (RFC 4724, RFC 8538) and
// the long-lived one (RFC 9494), 4-octet AS numbers (RFC 6793), several paths per prefix (RFC 7911).
// Everything else is kept by its code, so that an operator sees what the peer offers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

inline constexpr std::uint8_t kSafiUnicast = 1;

/// Address family and subsequent address family, as RFC 4760 numbers them.
struct AfiSafi {
    std::uint16_t afi = 0;
    std::uint8_t safi = 0;

    friend auto operator<=>(const AfiSafi&, const AfiSafi&) = default;
};

inline constexpr AfiSafi kIpv4Unicast{.afi = 1, .safi = kSafiUnicast};
inline constexpr AfiSafi kIpv6Unicast{.afi = 2, .safi = kSafiUnicast};

/// RFC 4724 3 and, for `notification`, RFC 8538 2.
struct GracefulRestart {
    struct Member {
        AfiSafi family;
        bool forwarding = false;  ///< F: what was forwarded before still is

        friend bool operator==(const Member&, const Member&) = default;
    };

    static constexpr std::uint16_t kMostSeconds = 0xfff;

    bool restarting = false;      ///< R: just restarted
    bool notification = false;    ///< N: a NOTIFICATION is survived too
    std::uint16_t seconds = 0;    ///< how long its routes are to be kept
    std::vector<Member> members;  ///< families whose routes are to be kept; none: a helper only

    [[nodiscard]] const Member* find(AfiSafi family) const;

    friend bool operator==(const GracefulRestart&, const GracefulRestart&) = default;
};

/// RFC 9494 3: routes that outlive even graceful restart.
struct LongLivedRestart {
    struct Member {
        AfiSafi family;
        bool forwarding = false;    ///< F: what was forwarded before still is
        std::uint32_t seconds = 0;  ///< how long its routes are to be kept then

        friend bool operator==(const Member&, const Member&) = default;
    };

    static constexpr std::uint32_t kMostSeconds = 0xffffff;

    std::vector<Member> members;  ///< none: knows what others do

    [[nodiscard]] const Member* find(AfiSafi family) const;

    friend bool operator==(const LongLivedRestart&, const LongLivedRestart&) = default;
};

/// RFC 7911 4: several paths per prefix in a family.
struct AddPath {
    AfiSafi family;
    bool receive = false;
    bool send = false;

    friend bool operator==(const AddPath&, const AddPath&) = default;
};

struct Capabilities {
    std::vector<AfiSafi> families;     ///< multiprotocol, in the order offered
    std::optional<Asn> four_octet_as;  ///< the speaker's real AS number
    bool route_refresh = false;
    bool enhanced_refresh = false;
    bool extended_message = false;
    bool ipv4_over_ipv6 = false;  ///< IPv4 unicast routes may have IPv6 next hops
    std::optional<GracefulRestart> graceful_restart;
    std::optional<LongLivedRestart> long_lived;
    std::vector<AddPath> add_path;
    std::vector<std::uint8_t> others;  ///< codes that are not understood here

    [[nodiscard]] bool has(AfiSafi family) const;

    /// What is said of several paths in the family; by default neither direction.
    [[nodiscard]] AddPath add_path_of(AfiSafi family) const;

    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

/// Reads capability TLVs into `into`; false when one is cut short or has an impossible length.
[[nodiscard]] bool decode_capabilities(Reader in, Capabilities& into);

/// Writes what `capabilities` offers as TLVs.
void encode_capabilities(const Capabilities& capabilities, Writer& out);

/// "ipv4-unicast ipv6-unicast route-refresh as4", for people.
[[nodiscard]] std::string to_string(const Capabilities& capabilities);

[[nodiscard]] std::string to_string(AfiSafi family);

}  // namespace vr::bgp
