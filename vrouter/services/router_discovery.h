// RouterDiscovery: how routers on a link make themselves known to each other, RFC 4861 6.
//
// On the links that it is told of it says when to advertise this router and when to ask who else is
// there.  It offers nobody a way: what is advertised is no default router and has no prefix.  Pure: the
// time comes in, deadlines go out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "vrouter/net/ids.h"
#include "vrouter/services/nd.h"
#include "vrouter/services/rate_limit.h"

namespace vr {

/// What there is to say on a link.
struct LinkCall {
    PortId link;
    bool advertise = false;
    bool solicit = false;  ///< nobody was heard there for a while

    friend bool operator==(const LinkCall&, const LinkCall&) = default;
};

class RouterDiscovery {
  public:
    /// Between two advertisements, when nobody asks (RFC 4861 allows 4 s to 1800 s).
    static constexpr std::chrono::seconds kInterval{10};
    /// Between two advertisements, whoever asks: MIN_DELAY_BETWEEN_RAS.
    static constexpr std::chrono::seconds kLeastPause{3};
    /// Who was not heard for so long, and advertises no longer lifetime, may be gone.
    static constexpr std::chrono::seconds kSilence{3 * kInterval};

    /// A router that wants no traffic, but to be known.
    [[nodiscard]] static nd::RouterOffer offer(std::uint16_t mtu) {
        return {.lifetime = std::chrono::seconds{0}, .hop_limit = 0, .mtu = mtu};
    }

    /// Begins on a link, with the next tick().
    void add_link(PortId link, TimePoint now);
    void remove_link(PortId link);

    /// Somebody asks for routers: the next advertisement comes soon.
    void asked(PortId link, TimePoint now);

    /// A router advertised itself; false when the link is none of these.
    [[nodiscard]] bool heard(PortId link, TimePoint now);

    /// What is to be said now.
    [[nodiscard]] std::vector<LinkCall> tick(TimePoint now);

    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

  private:
    struct Link {
        TimePoint next;                        ///< advertisement
        std::optional<TimePoint> last;         ///< the same
        std::optional<TimePoint> router_last;  ///< heard
    };

    /// No router was heard there for a while.
    [[nodiscard]] static bool is_silent(const Link& link, TimePoint now);

    std::map<PortId, Link> links_;
};

}  // namespace vr
