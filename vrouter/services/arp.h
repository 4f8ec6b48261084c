// ARP for IPv4 over Ethernet: RFC 826, probes and announcements of RFC 5227; of Reverse ARP (RFC 903) what
// hypervisors announce a guest with that has come.
//
// Reads and builds messages; who is answered is decided in responder.h, what is remembered in
// neighbor.h.  A message whose sender could not be a station is malformed here, so that nothing
// behind this file ever learns a group address.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "vrouter/net/addr.h"
#include "vrouter/net/wire.h"
#include "vrouter/services/frame.h"

namespace vr::arp {

enum class Operation : std::uint16_t { Request = 1, Reply = 2 };

struct Message {
    Mac link_source;
    Mac link_destination;
    Operation operation = Operation::Request;
    Mac sender_mac;
    Ip4 sender;
    Mac target_mac;
    Ip4 target;

    /// "Does anyone use this address?", asked before using it: RFC 5227 2.1.1.
    [[nodiscard]] bool is_probe() const noexcept {
        return operation == Operation::Request && sender.is_unspecified();
    }

    /// Tells its own address to everyone: RFC 5227 2.3.
    [[nodiscard]] bool is_gratuitous() const noexcept { return sender == target; }

    friend bool operator==(const Message&, const Message&) = default;
};

/// Nothing when the frame is no ARP for IPv4 over Ethernet, or its addresses cannot be.
[[nodiscard]] std::optional<Message> parse(Bytes frame);

/// The station that a Reverse ARP request is about: nothing when the frame is none, or two are named.
[[nodiscard]] std::optional<Mac> parse_reverse_request(Bytes frame);

/// Asks for `target`'s address: everyone, or only `unicast_to` (RFC 1122 2.3.2.1, unicast poll).
[[nodiscard]] Frame request(Mac sender_mac, Ip4 sender, Ip4 target, std::optional<Mac> unicast_to);

/// Answers `asked` that its target is at `answer_mac`.
[[nodiscard]] Frame reply(const Message& asked, Mac answer_mac);

/// Announces to everyone that `sender` is at `sender_mac`: RFC 5227 2.3.
[[nodiscard]] Frame gratuitous(Mac sender_mac, Ip4 sender);

}  // namespace vr::arp
