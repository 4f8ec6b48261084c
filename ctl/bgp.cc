// show bgp, clear bgp.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/speaker.h"
#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

pb::BgpNeighbor::State state_of(bgp::State state) {
    switch (state) {
        case bgp::State::Idle:
            return pb::BgpNeighbor::STATE_IDLE;
        case bgp::State::Connect:
            return pb::BgpNeighbor::STATE_CONNECT;
        case bgp::State::Active:
            return pb::BgpNeighbor::STATE_ACTIVE;
        case bgp::State::OpenSent:
            return pb::BgpNeighbor::STATE_OPENSENT;
        case bgp::State::OpenConfirm:
            return pb::BgpNeighbor::STATE_OPENCONFIRM;
        case bgp::State::Established:
            return pb::BgpNeighbor::STATE_ESTABLISHED;
    }
    return pb::BgpNeighbor::STATE_UNSPECIFIED;
}

template <typename Address>
std::string text_of(const std::optional<Address>& address) {
    return address ? to_string(*address) : std::string{};
}

std::uint64_t seconds_of(std::optional<std::chrono::seconds> time) {
    return time ? static_cast<std::uint64_t>(time->count()) : 0;
}

void fill(const bgp::FamilySummary& family, pb::BgpFamily& row) {
    row.set_negotiated(family.negotiated);
    row.set_received(family.received);
    row.set_accepted(family.accepted);
    row.set_advertised(family.advertised);
    row.set_end_of_rib_received(family.end_of_rib_received);
}

void fill(const bgp::PeerSummary& peer, pb::BgpNeighbor& row) {
    row.set_address(to_string(peer.address));
    row.set_description(peer.description);
    row.set_remote_asn(peer.asn.value());
    row.set_local_asn(peer.local_as.value());
    row.set_kind(std::string(to_string(peer.kind)));
    row.set_state(state_of(peer.state));
    row.set_uptime_seconds(seconds_of(peer.uptime));
    row.set_local_address(text_of(peer.local_address));
    row.set_router_id(text_of(peer.identifier));
    row.set_hold_time_seconds(seconds_of(peer.hold_time));
    fill(peer.ipv4, *row.mutable_ipv4());
    fill(peer.ipv6, *row.mutable_ipv6());
    row.set_messages_received(peer.received.total());
    row.set_messages_sent(peer.sent.total());
    row.set_sessions(peer.established_count);
    row.set_malformed_updates(peer.malformed_updates);
    row.set_last_malformed(peer.last_malformed);
    row.set_last_error(peer.last_error);
}

Failure no_neighbor(const std::string& address) {
    return {
        .code = pb::Error::CODE_NOT_FOUND,
        .text = "no BGP neighbor '" + address + "': 'show bgp' lists them"};
}

Answer show(const bgp::Speaker& speaker, const std::string& wanted) {
    auto peers = speaker.peers();
    if (!wanted.empty()) {
        const auto address = parse_ip(wanted);
        std::erase_if(peers, [&](const bgp::PeerSummary& peer) { return address != peer.address; });
        if (peers.empty()) {
            return no_neighbor(wanted);
        }
    }
    return listing<&pb::Response::mutable_bgp>(
        std::move(peers),
        [](const bgp::PeerSummary& peer, pb::BgpNeighbor& row) { fill(peer, row); });
}

Answer clear(bgp::Speaker& speaker, const std::string& wanted) {
    std::uint64_t cleared = 0;
    if (wanted == "all") {
        for (const bgp::PeerSummary& peer : speaker.peers()) {
            cleared += speaker.clear(peer.address) ? 1U : 0U;
        }
    } else if (const auto address = parse_ip(wanted); address && speaker.clear(*address)) {
        cleared = 1;
    } else {
        return no_neighbor(wanted);
    }
    pb::Response response;
    response.mutable_cleared()->set_count(cleared);
    return response;
}

}  // namespace

void serve_bgp(Dispatch& dispatch, bgp::Speaker& speaker) {
    dispatch.on(pb::Request::kShowBgp, [&speaker](const pb::Request& request) {
        return show(speaker, request.show_bgp().neighbor());
    });
    dispatch.on(pb::Request::kClearBgp, [&speaker](const pb::Request& request) {
        return clear(speaker, request.clear_bgp().neighbor());
    });
}

}  // namespace vr::ctl
