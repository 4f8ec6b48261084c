// bgp load, bgp unload: routes of an MRT file, told as this router's own; the client reads the file.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bgp/mrt_reader.h"
#include "bgp/speaker.h"
#include "ctl/bgp_row.h"
#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

/// Routes that a slice of unloading looks at.
constexpr std::size_t kUnloadSlice = 512;

/// Whether a route can have that next hop: IPv4 over IPv6 is RFC 8950, the other way round there is none.
bool has_good_next_hop(const bgp::MrtPath& path) {
    const auto* v4 = std::get_if<Ip4>(&path.attributes.next_hop);
    return v4 == nullptr || v4->is_unspecified() || std::holds_alternative<Prefix<V4>>(path.prefix);
}

Answer load(bgp::Speaker& speaker, const std::vector<std::uint8_t>& mrt) {
    std::vector<bgp::MrtPath> paths;
    std::string problem;
    const auto tell = [&](std::string text) { problem = std::move(text); };
    bgp::MrtReader reader{Bytes{mrt}};
    const auto take = [&](const bgp::MrtPath& path) {
        if (path.kind != bgp::MrtPath::Kind::Recorded || !has_good_next_hop(path)) {
            problem = to_string(path.prefix) + " is no route of a table that can be told";
        }
        paths.push_back(path);
    };
    while (problem.empty() && paths.size() <= kMostLoaded && reader.read(take, tell)) {
    }
    if (paths.size() > kMostLoaded) {
        problem = "too many routes for one request";
    } else if (problem.empty()) {
        reader.finish(tell);
    }
    if (!problem.empty()) {
        return Failure{.code = pb::Error::CODE_INVALID, .text = std::move(problem)};
    }
    for (const bgp::MrtPath& path : paths) {
        speaker.load(path.prefix, path.attributes);
    }
    pb::Response response;
    response.mutable_bgp_loaded()->set_routes(paths.size());
    return response;
}

Slices unload(const std::shared_ptr<bgp::Speaker>& speaker) {
    return [from = std::weak_ptr(speaker), cursor = bgp::RouteCursor{}, gone = std::size_t{0}](
               pb::Response& frame) mutable {
        const auto present = from.lock();
        if (!present) {
            return say_restarted(frame);
        }
        if (present->unload(cursor, kUnloadSlice, gone)) {
            return true;
        }
        frame.mutable_bgp_loaded()->set_routes(gone);
        return false;
    };
}

}  // namespace

void serve_bgp_load(Dispatch& dispatch, FindSpeaker speaker, bool forwards) {
    dispatch.on(pb::Request::kLoadBgp, [speaker, forwards](const pb::Request& request) -> Answer {
        if (forwards) {
            return Failure{
                .code = pb::Error::CODE_REFUSED,
                .text =
                    "routes of a file would draw traffic to this host: only a router "
                    "with 'dataplane: none' loads them"};
        }
        const std::string& mrt = request.load_bgp().mrt();
        return load(*speaker(), std::vector<std::uint8_t>(mrt.begin(), mrt.end()));
    });
    dispatch.on(
        pb::Request::kUnloadBgp,
        [speaker = std::move(speaker)](const pb::Request&) -> Answer { return unload(speaker()); });
}

}  // namespace vr::ctl
