// show bgp, clear bgp; bgp summary, neighbor, speaker, clear, shutdown, enable, reload, restart.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bgp/speaker.h"
#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

/// RFC 9003 2.
constexpr std::size_t kMostText = 255;

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

/// `key` sets it in the config.
std::string next_hop_text(const bgp::FamilySummary& family, std::string_view key) {
    if (!family.negotiated || family.next_hop) {
        return text_of(family.next_hop);
    }
    return fmt::format("none: routes of this host are not told ({})", key);
}

void fill(const bgp::FamilySummary& family, std::string_view next_hop_key, pb::BgpFamily& row) {
    row.set_negotiated(family.negotiated);
    row.set_received(family.received);
    row.set_accepted(family.accepted);
    row.set_advertised(family.advertised);
    row.set_end_of_rib_received(family.end_of_rib_received);
    row.set_left_out(family.left_out);
    row.set_add_path_receive(family.paths_received);
    row.set_add_path_send(family.paths_sent);
    row.set_restart_seconds(seconds_of(family.restart_time));
    row.set_long_lived_seconds(seconds_of(family.long_lived_time));
    row.set_our_restart_seconds(seconds_of(family.our_restart_time));
    row.set_our_long_lived_seconds(seconds_of(family.our_long_lived_time));
    row.set_next_hop(next_hop_text(family, next_hop_key));
}

void fill(const bgp::MessageCounters& messages, pb::BgpMessages& row) {
    row.set_open(messages.opens);
    row.set_update(messages.updates);
    row.set_notification(messages.notifications);
    row.set_keepalive(messages.keepalives);
    row.set_route_refresh(messages.refreshes);
}

void fill(const bgp::Terms& terms, pb::BgpAgreed& row) {
    row.set_four_octet_as(terms.as_width == bgp::AsWidth::Four);
    row.set_route_refresh(terms.route_refresh);
    row.set_enhanced_route_refresh(terms.enhanced_refresh);
    row.set_extended_message(terms.extended_message);
    row.set_extended_next_hop(terms.ipv4_over_ipv6);
}

void fill(const bgp::BfdSummary& bfd, pb::BgpBfd& row) {
    row.set_state(std::string(to_string(bfd.state)));
    row.set_remote_state(std::string(to_string(bfd.remote_state)));
    row.set_diagnostic(std::string(to_string(bfd.diagnostic)));
    row.set_transmit_interval_us(static_cast<std::uint64_t>(bfd.transmit_interval.count()));
    row.set_detection_time_us(static_cast<std::uint64_t>(bfd.detection_time.count()));
    row.set_ups(bfd.ups);
    row.set_local_discriminator(bfd.mine);
}

void fill(const bgp::PeerSummary& peer, const std::string& name, pb::BgpNeighbor& row) {
    row.set_address(name);
    row.set_interface(peer.link);
    row.set_description(peer.description);
    row.set_remote_asn(peer.asn.value());
    row.set_local_asn(peer.local_as.value());
    row.set_kind(std::string(to_string(peer.kind)));
    row.set_state(state_of(peer.state));
    row.set_uptime_seconds(seconds_of(peer.uptime));
    row.set_local_address(text_of(peer.local_address));
    row.set_router_id(text_of(peer.identifier));
    row.set_hold_time_seconds(seconds_of(peer.hold_time));
    fill(peer.ipv4, "next_hop4", *row.mutable_ipv4());
    fill(peer.ipv6, "next_hop6", *row.mutable_ipv6());
    row.set_messages_received(peer.received.total());
    row.set_messages_sent(peer.sent.total());
    fill(peer.received, *row.mutable_messages_received_by_type());
    fill(peer.sent, *row.mutable_messages_sent_by_type());
    row.set_sessions(peer.established_count);
    row.set_malformed_updates(peer.malformed_updates);
    row.set_last_malformed(peer.last_malformed);
    row.set_last_error(peer.last_error);
    row.set_last_error_age_seconds(seconds_of(peer.last_error_age));
    row.set_shut_down(peer.shut_down.has_value());
    row.set_shutdown_text(peer.shut_down.value_or(""));
    row.set_dynamic(peer.dynamic);
    auto& restart = *row.mutable_restart();
    restart.set_agreed(peer.restart.agreed);
    restart.set_notification(peer.restart.notification);
    restart.set_time_seconds(seconds_of(peer.restart.peer_time));
    restart.set_back_within_seconds(seconds_of(peer.restart.back_within));
    restart.set_done_within_seconds(seconds_of(peer.restart.done_within));
    restart.set_long_lived_seconds(seconds_of(peer.restart.long_lived_time));
    restart.set_forgotten_within_seconds(seconds_of(peer.restart.forgotten_within));
    restart.set_our_time_seconds(seconds_of(peer.restart.our_time));
    restart.set_our_long_lived_seconds(seconds_of(peer.restart.our_long_lived_time));
    restart.set_ipv4_stale(peer.ipv4.stale);
    restart.set_ipv6_stale(peer.ipv6.stale);
    row.set_import_filter(peer.import_filter);
    row.set_export_filter(peer.export_filter);
    if (peer.terms) {
        row.set_capabilities(to_string(peer.terms->capabilities));
        fill(*peer.terms, *row.mutable_agreed());
    }
    if (peer.bfd) {
        fill(*peer.bfd, *row.mutable_bfd());
    }
}

pb::Response show_speaker(const bgp::Speaker& speaker) {
    const bgp::SpeakerSummary summary = speaker.summary();
    pb::Response response;
    auto& reply = *response.mutable_bgp_speaker();
    reply.set_asn(summary.asn.value());
    reply.set_router_id(to_string(summary.router_id));
    reply.set_port(summary.port.value());
    reply.set_neighbors(static_cast<std::uint32_t>(summary.peers));
    reply.set_established(static_cast<std::uint32_t>(summary.established));
    reply.set_ipv4_prefixes(summary.ipv4_prefixes);
    reply.set_ipv6_prefixes(summary.ipv6_prefixes);
    reply.set_attribute_sets(summary.attribute_sets);
    reply.set_strangers(summary.strangers);
    return response;
}

Failure refused(const Error& why) {
    return {.code = pb::Error::CODE_REFUSED, .text = why.text};
}

Failure no_neighbor(const std::string& address) {
    return {
        .code = pb::Error::CODE_NOT_FOUND,
        .text = "no BGP neighbor '" + address + "': 'show bgp' lists them"};
}

/// Nobody knows the address yet, only the link.
bool is_awaited(const bgp::PeerSummary& peer) {
    return peer.address == IpAddr{Ip6{}};
}

/// Whether an operator calls the awaited `peer` so: "uplink0", or "%uplink0" as it is listed.
bool is_called(const bgp::PeerSummary& peer, std::string_view name) {
    return is_awaited(peer) && peer.link == (name.starts_with('%') ? name.substr(1) : name);
}

/// A row of the listing; what of it is found when it is its turn.
struct Shown {
    IpAddr address;
    std::optional<bgp::PeerSummary> awaited;  ///< of whom only the link is known
};

void show_one(const bgp::Speaker& speaker, const Shown& shown, pb::BgpNeighbor& row) {
    if (shown.awaited) {
        fill(*shown.awaited, {}, row);
    } else if (const auto peer = speaker.peer(shown.address)) {
        fill(*peer, speaker.name_of(shown.address), row);
    } else {
        row.set_address(speaker.name_of(shown.address));
        row.set_state(pb::BgpNeighbor::STATE_IDLE);
        row.set_last_error("no neighbor any more");
    }
}

Answer show(const FindSpeaker& find, const std::string& wanted) {
    const bgp::Speaker& speaker = *find();
    std::vector<Shown> rows;
    const auto chosen = wanted.empty() ? std::optional<IpAddr>{} : speaker.find_peer(wanted);
    for (const IpAddr& address : speaker.addresses()) {
        if (wanted.empty() || address == chosen) {
            rows.push_back({.address = address, .awaited = {}});
        }
    }
    for (const bgp::PeerSummary& peer : speaker.awaited()) {
        if (wanted.empty() || (!chosen && is_called(peer, wanted))) {
            rows.push_back({.address = peer.address, .awaited = peer});
        }
    }
    if (rows.empty() && !wanted.empty()) {
        return no_neighbor(wanted);
    }
    return listing<&pb::Response::mutable_bgp>(
        std::move(rows),
        [find](const Shown& shown, pb::BgpNeighbor& row) { show_one(*find(), shown, row); });
}

pb::Response count_of(std::uint64_t done) {
    pb::Response response;
    response.mutable_cleared()->set_count(done);
    return response;
}

/// Does `act` to the neighbour `wanted`, or to all, slice by slice.
Answer with_neighbors(bgp::Speaker& speaker, const std::string& wanted, bgp::Speaker::Act act) {
    if (wanted == "all") {
        return Later{[&speaker, act = std::move(act)](auto reply) mutable {
            speaker.for_each_peer(
                std::move(act),
                [reply = std::move(reply)](std::size_t done) mutable { reply(count_of(done)); });
        }};
    }
    if (const auto address = speaker.find_peer(wanted); address && act(*address)) {
        return count_of(1);
    }
    if (std::ranges::any_of(speaker.awaited(), [&](const bgp::PeerSummary& peer) {
            return is_called(peer, wanted);
        })) {
        return Failure{
            .code = pb::Error::CODE_NOT_FOUND,
            .text = "the BGP neighbor on '" + wanted + "' is not known yet: 'show bgp' says why"};
    }
    return no_neighbor(wanted);
}

Answer clear(bgp::Speaker& speaker, const std::string& wanted) {
    return with_neighbors(
        speaker, wanted, [&speaker](const IpAddr& address) { return speaker.clear(address); });
}

Answer set_neighbor(bgp::Speaker& speaker, const pb::SetBgpNeighbor& request) {
    using Clear = bgp::Speaker::Clear;
    const auto act = [&](auto what) { return with_neighbors(speaker, request.neighbor(), what); };
    const auto clear = [&](Clear what) {
        return act(
            [&speaker, what](const IpAddr& address) { return speaker.clear(address, what); });
    };
    switch (request.action()) {
        case pb::SetBgpNeighbor::ACTION_CLEAR:
            return clear(Clear::Session);
        case pb::SetBgpNeighbor::ACTION_CLEAR_IN:
            return clear(Clear::In);
        case pb::SetBgpNeighbor::ACTION_CLEAR_OUT:
            return clear(Clear::Out);
        case pb::SetBgpNeighbor::ACTION_CLEAR_BOTH:
            return act([&speaker](const IpAddr& address) {
                return speaker.clear(address, Clear::In) && speaker.clear(address, Clear::Out);
            });
        case pb::SetBgpNeighbor::ACTION_SHUT_DOWN:
            if (request.text().size() > kMostText) {
                return Failure{
                    .code = pb::Error::CODE_INVALID,
                    .text = "a shutdown text has at most 255 octets (RFC 9003)"};
            }
            return act([&speaker, text = request.text()](const IpAddr& address) {
                return speaker.shut_down(address, text);
            });
        case pb::SetBgpNeighbor::ACTION_ENABLE:
            return act([&speaker](const IpAddr& address) { return speaker.bring_up(address); });
        default:
            return Failure{.code = pb::Error::CODE_INVALID, .text = "no such action"};
    }
}

}  // namespace

void serve_bgp(Dispatch& dispatch, FindSpeaker speaker, BgpActions actions) {
    dispatch.on(pb::Request::kShowBgp, [speaker](const pb::Request& request) {
        return show(speaker, request.show_bgp().neighbor());
    });
    dispatch.on(pb::Request::kShowBgpSpeaker, [speaker](const pb::Request&) {
        return show_speaker(*speaker());
    });
    dispatch.on(pb::Request::kSetBgpNeighbor, [speaker](const pb::Request& request) {
        return set_neighbor(*speaker(), request.set_bgp_neighbor());
    });
    dispatch.on(pb::Request::kClearBgp, [speaker](const pb::Request& request) {
        return clear(*speaker(), request.clear_bgp().neighbor());
    });
    dispatch.on(
        pb::Request::kReloadBgp,
        [reload = std::move(actions.reload)](const pb::Request&) -> Answer {
            return Later{[&reload](auto reply) {
                reload([reply = std::move(reply)](const Result<BgpChanges>& changes) mutable {
                    if (!changes) {
                        return reply(refused(changes.error()));
                    }
                    pb::Response response;
                    pb::BgpReloaded& reloaded = *response.mutable_bgp_reloaded();
                    reloaded.set_came(changes->came);
                    reloaded.set_gone(changes->gone);
                    reloaded.set_changed(changes->changed);
                    reply(std::move(response));
                });
            }};
        });
    dispatch.on(
        pb::Request::kRestartBgp,
        [speaker, restart = std::move(actions.restart)](const pb::Request&) -> Answer {
            return Later{[&restart, &speaker](auto reply) {
                restart([&speaker, reply = std::move(reply)](const Result<void>& done) mutable {
                    reply(
                        done ? Now{count_of(speaker()->addresses().size())}
                             : Now{refused(done.error())});
                });
            }};
        });
}

}  // namespace vr::ctl
