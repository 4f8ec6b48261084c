// bgp dump: the whole table as an MRT file (RFC 6396), frame by frame; the client writes the file.
// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>
#include <vector>

#include "bgp/mrt.h"
#include "bgp/speaker.h"
#include "ctl/bgp_row.h"
#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

/// A frame is full with so many octets ...
constexpr std::size_t kOctetsPerFrame = 64 * 1024;
/// ... or when so many prefixes were looked at; each may have a dozen paths.
constexpr std::size_t kDumpedPerFrame = 128;
constexpr std::size_t kPrefixesAtOnce = 8;

bgp::MrtDump begin(const bgp::Speaker& speaker, std::chrono::system_clock::time_point now) {
    std::vector<bgp::MrtPeer> peers;
    for (const bgp::PeerSummary& peer : speaker.peers()) {
        peers.push_back(
            {.identifier = peer.last_identifier, .address = peer.address, .asn = peer.asn});
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
    const bgp::MrtPeer self{
        .identifier = speaker.config().router_id, .address = Ip4{}, .asn = speaker.config().asn};
    return bgp::MrtDump{self, std::move(peers), static_cast<std::uint32_t>(seconds)};
}

Slices dump(
    const std::shared_ptr<bgp::Speaker>& speaker, std::chrono::system_clock::time_point now) {
    return [from = std::weak_ptr(speaker),
            dump = begin(*speaker, now),
            cursor = bgp::RouteCursor{},
            begun = false](pb::Response& frame) mutable {
        const auto present = from.lock();
        if (!present) {
            return say_restarted(frame);
        }
        Writer out;
        if (!std::exchange(begun, true)) {
            dump.write_peers(out);
        }
        bool more = true;
        for (std::size_t looked_at = 0;
             more && looked_at < kDumpedPerFrame && out.size() < kOctetsPerFrame;
             looked_at += kPrefixesAtOnce) {
            more = present->instance().visit_routes(
                cursor, kPrefixesAtOnce, [&](const bgp::RouteSummary& route) {
                    dump.write_route(route, out);
                });
        }
        const auto octets = out.release();
        frame.mutable_bgp_dump()->mutable_mrt()->assign(octets.begin(), octets.end());
        return more;
    };
}

}  // namespace

void serve_bgp_dump(
    Dispatch& dispatch,
    FindSpeaker speaker,
    std::function<std::chrono::system_clock::time_point()> now) {
    dispatch.on(
        pb::Request::kDumpBgp,
        [speaker = std::move(speaker), now = std::move(now)](const pb::Request&) -> Answer {
            return dump(speaker(), now());
        });
}

}  // namespace vr::ctl
