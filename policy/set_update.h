// Sets by name, and what a stream says of their members.
//
// Where the members of sets are not worked out from the objects at hand (POLICY 2.3) but brought by
// vrouter-policyd, a batch carries SetUpdates beside its objects.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr::policy {

struct SetName {
    std::string selector;  ///< canonical text
    std::string port;      ///< empty: the addresses, whatever their ports
    std::uint8_t protocol = 0;

    friend auto operator<=>(const SetName&, const SetName&) = default;
};

/// A member with the port number under which it belongs to a set that names a port; else port 0.
using PortMember = std::pair<L4Port, IpPrefix>;

struct SetUpdate {
    enum class How : std::uint8_t {
        Replace,  ///< `added` is all there is
        Change,   ///< `added` came, `removed` went; to be there or gone already is no mistake
        Forget,   ///< the set is not told of any more
    };

    SetName name;
    How how = How::Replace;
    std::vector<PortMember> added;
    std::vector<PortMember> removed;

    friend bool operator==(const SetUpdate&, const SetUpdate&) = default;
};

}  // namespace vr::policy
