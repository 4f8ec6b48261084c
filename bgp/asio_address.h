// Our addresses as Asio's, and back.  A zone (vrouter/net/zone.h) is not a scope id: who opens a socket
// says which that is, and such addresses come back without.  For the Asio shell only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include <boost/asio/ip/address.hpp>

#include "vrouter/net/addr.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {

[[nodiscard]] inline boost::asio::ip::address to_asio(const IpAddr& address, unsigned scope = 0) {
    if (const auto* v4 = std::get_if<Ip4>(&address)) {
        return boost::asio::ip::address_v4{v4->value()};
    }
    boost::asio::ip::address_v6::bytes_type bytes;
    std::get<Ip6>(without_zone(address)).store(bytes.data());
    return boost::asio::ip::address_v6{bytes, scope};
}

[[nodiscard]] inline IpAddr from_asio(const boost::asio::ip::address& address) {
    if (address.is_v4()) {
        return Ip4{address.to_v4().to_uint()};
    }
    return without_zone(IpAddr{Ip6::load(address.to_v6().to_bytes().data())});
}

}  // namespace vr::bgp
