// Fuzz target of bgp/: an MRT file of somebody else.
//
// Whatever is in it, reading ends; every path that is told of can be printed, and what a table has can be
// written again as a table that says the same.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "bgp/mrt_reader.h"

namespace {

using namespace vr;
using namespace vr::bgp;

void check(bool invariant) {
    if (!invariant) {
        std::abort();
    }
}

/// Attributes that are not known lose nothing but get the Partial flag: those are left out here.
bool is_plain(const MrtPath& path) {
    return path.kind == MrtPath::Kind::Recorded && path.attributes.unknown.empty();
}

void check_again(const MrtPath& path) {
    MrtDump dump{MrtPeer{}, {MrtPeer{.address = path.peer.address, .asn = path.peer.asn}}, 7};
    RouteSummary route{.prefix = path.prefix, .paths = {}};
    route.paths.push_back(PathSummary{.peer = path.peer.address, .attributes = path.attributes});
    Writer out;
    dump.write_peers(out);
    const std::size_t peers = out.size();
    dump.write_route(route, out);
    if (out.size() == peers) {
        return;  // more attributes than a record can hold
    }
    unsigned count = 0;
    MrtReader reader{out.view()};
    while (reader.read(
        [&](const MrtPath& again) {
            ++count;
            check(again.prefix == path.prefix);
            check(again.attributes.as_path.length() == path.attributes.as_path.length());
            check(again.attributes.communities == path.attributes.communities);
        },
        [](const std::string&) { check(false); })) {
    }
    check(count == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::size_t looked_at = 0;
    const auto visit = [&](const MrtPath& path) {
        static_cast<void>(to_string(path.attributes));
        if (is_plain(path) && ++looked_at < 16) {
            check_again(path);
        }
    };
    const auto tell = [](const std::string& fault) { check(!fault.empty()); };
    MrtReader reader;
    for (Bytes file{data, size}; !file.empty();) {
        // Pieces end anywhere: an octet of the file says where.
        const Bytes piece = file.first(std::min<std::size_t>(file.size(), file.front() + 1U));
        reader.feed(piece);
        file = file.subspan(piece.size());
        while (reader.read(visit, tell)) {
        }
    }
    reader.finish(tell);
    return 0;
}
