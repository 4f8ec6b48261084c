// bgp read: what an MRT file says (RFC 6396), of this router's table or of anybody's; without a router.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/mrt_reader.h"
#include "ctl/bgp_row.h"
#include "ctl/json.h"
#include "ctl/offline.h"
#include "vrouter/net/prefix.h"

namespace vr::ctl {

namespace {

/// A file of something else is one problem after the other.
constexpr int kMostProblems = 100;

pb::BgpRoute::State state_of(bgp::MrtPath::Kind kind) {
    switch (kind) {
        case bgp::MrtPath::Kind::Recorded:
            return pb::BgpRoute::STATE_RECORDED;
        case bgp::MrtPath::Kind::Announced:
            return pb::BgpRoute::STATE_ANNOUNCED;
        case bgp::MrtPath::Kind::Withdrawn:
            break;
    }
    return pb::BgpRoute::STATE_WITHDRAWN;
}

void add(const bgp::MrtPath& path, pb::BgpRouteList& list) {
    pb::BgpRoute& row = *list.add_rows();
    row.set_prefix(to_string(path.prefix));
    row.set_state(state_of(path.kind));
    row.set_neighbor(to_string(path.peer.address));
    row.set_time(path.seconds);
    if (path.path_id) {
        row.set_path_id(*path.path_id);
    }
    if (path.kind != bgp::MrtPath::Kind::Withdrawn) {
        fill_attributes(path.attributes, row);
    }
}

std::string line_of(const pb::BgpRoute& row) {
    return fmt::format(
        "{:%Y-%m-%dT%H:%M:%SZ} {} {}{} by {}{}{}\n",
        fmt::gmtime(static_cast<std::time_t>(row.time())),
        field_text(row, "state"),
        row.prefix(),
        row.has_path_id() ? fmt::format(" path {}", row.path_id()) : "",
        row.neighbor(),
        row.attributes().empty() ? "" : ": ",
        row.attributes());
}

}  // namespace

Result<pb::Response> read_mrt(const Values& values, const Files& /*files*/) {
    const std::string wanted = values.text("prefix");
    const auto address = parse_ip(wanted);
    const auto within = parse_prefix(wanted);
    const auto is_wanted = [&](const IpPrefix& prefix) {
        return address ? contains(prefix, *address) : !within || contains(*within, prefix);
    };
    pb::Response response;
    auto& list = *response.mutable_bgp_routes();
    for (const File& file : values.files) {
        const auto tell = [&](const std::string& problem) {
            if (list.problems_size() < kMostProblems) {
                list.add_problems(fmt::format("{}: {}", file.name, problem));
            }
        };
        const std::vector<std::uint8_t> octets{file.text.begin(), file.text.end()};
        bgp::MrtReader reader{octets};
        while (reader.read(
            [&](const bgp::MrtPath& path) {
                if (is_wanted(path.prefix)) {
                    add(path, list);
                }
            },
            tell)) {
        }
    }
    return response;
}

std::string mrt_text(const pb::Response& frame) {
    std::string text;
    for (const pb::BgpRoute& row : frame.bgp_routes().rows()) {
        text += line_of(row);
    }
    for (const std::string& problem : frame.bgp_routes().problems()) {
        text += "problem: " + problem + "\n";
    }
    return text;
}

Exit mrt_exit(const pb::Response& frame) {
    return frame.bgp_routes().problems().empty() ? Exit::Ok : Exit::Refused;
}

}  // namespace vr::ctl
