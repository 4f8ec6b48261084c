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
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/mrt_file.h"
#include "ctl/offline.h"
#include "vrouter/net/prefix.h"

namespace vr::ctl {

namespace {

/// A file of something else is one problem after the other.
constexpr std::size_t kMostProblems = 100;
/// Files open at once.  Those beyond are closed after the check that they are there, and opened again.
constexpr std::size_t kMostOpen = 256;
/// Octets read from a file at once.
constexpr std::size_t kPiece = 64 * 1024;

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

/// Which prefixes are asked for.
class Wanted {
  public:
    explicit Wanted(const std::string& text)
        : address_(parse_ip(text)), within_(parse_prefix(text)) {}

    [[nodiscard]] bool operator()(const IpPrefix& prefix) const {
        return address_ ? contains(prefix, *address_) : !within_ || contains(*within_, prefix);
    }

  private:
    std::optional<IpAddr> address_;
    std::optional<IpPrefix> within_;
};

/// Rows and problems in frames like a router's: files may be larger than memory.
class Frames {
  public:
    explicit Frames(const ShowFrame& show) : show_(show) { begin(); }

    void add(const bgp::MrtPath& path) {
        ctl::add(path, *frame_.mutable_bgp_routes());
        if (frame_.bgp_routes().rows_size() == kRowsPerFrame) {
            frame_.set_more(true);
            show_(frame_);
            begin();
        }
    }

    void tell(const std::string& file, const std::string& problem) {
        if (problems_++ < kMostProblems) {
            frame_.mutable_bgp_routes()->add_problems(fmt::format("{}: {}", file, problem));
        }
    }

    void finish() { show_(frame_); }

  private:
    static constexpr int kRowsPerFrame = 256;

    void begin() {
        frame_.Clear();
        frame_.mutable_bgp_routes();
    }

    const ShowFrame& show_;
    pb::Response frame_;
    std::size_t problems_ = 0;
};

void read_file(
    const std::string& name, const ReadPiece& read, const Wanted& wanted, Frames& frames) {
    const auto tell = [&](const std::string& problem) { frames.tell(name, problem); };
    bgp::MrtReader reader;
    std::vector<std::uint8_t> room(kPiece);
    for (bool begins = true;; begins = false) {
        const auto size = read(room);
        if (!size) {
            return tell(size.error().text);
        }
        const Bytes piece = Bytes{room}.first(*size);
        const auto problem = begins ? compression_problem(piece, "bgp read") : std::string{};
        if (!problem.empty()) {
            return tell(problem);
        }
        if (*size == 0) {
            return reader.finish(tell);
        }
        reader.feed(piece);
        while (reader.read(
            [&](const bgp::MrtPath& path) {
                if (wanted(path.prefix)) {
                    frames.add(path);
                }
            },
            tell)) {
        }
    }
}

}  // namespace

Result<void> read_mrt(const Values& values, const Files& files, const ShowFrame& show) {
    const auto names = values.list("files");
    std::vector<ReadPiece> opened;
    for (const std::string& name : names) {
        auto file = files.open(name);
        if (!file) {
            return fail(file.error().text);
        }
        if (opened.size() < kMostOpen) {
            opened.push_back(*std::move(file));
        }
    }
    Frames frames{show};
    const Wanted wanted{values.text("prefix")};
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto file = i < opened.size() ? Result<ReadPiece>{std::exchange(opened[i], {})}
                                      : files.open(names[i]);
        if (file) {
            read_file(names[i], *file, wanted, frames);
        } else {
            frames.tell(names[i], file.error().text);
        }
    }
    frames.finish();
    return {};
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
