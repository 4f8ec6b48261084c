// Our ends of links, as the kernel knows them now: interfaces come and go and get other numbers.
// For the Asio shell only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "bgp/interface_indices.h"
#include "bgp/links.h"
#include "vrouter/net/result.h"

namespace vr::bgp {

/// Where packets to a peer leave.
struct LinkEnd {
    unsigned scope = 0;            ///< the interface; 0: as the kernel routes them
    std::optional<IpAddr> source;  ///< absent: the kernel chooses
};

/// Our end towards `peer`; `source` is what its config says.  Fails while the peer's link is not there.
[[nodiscard]] Result<LinkEnd> our_end(
    const Links& links, const IpAddr& peer, const std::optional<IpAddr>& source);

/// True for an error of sending that says that our end is no longer there, and not only that nobody takes
/// what is sent or that there is no room.
[[nodiscard]] bool is_end_gone(int error) noexcept;

/// The link over which something came to `local`, a link-local address, by the interface `scope`; 0: none
/// that peers are on.
[[nodiscard]] Zone link_of(
    const Links& links, InterfaceIndices& indices, unsigned scope, const IpAddr& local);

}  // namespace vr::bgp
