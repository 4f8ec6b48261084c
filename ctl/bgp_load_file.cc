// bgp load, this end: the table of an MRT file (RFC 6396) as requests of a few routes, each answered before the
// next is asked, so that the router goes on with all else.
//
// One path for each prefix: the first that the file has, which in a dump of vrouterd is the best, or that of one peer.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bgp/mrt_reader.h"
#include "ctl/bgp_row.h"
#include "ctl/commands.h"
#include "ctl/mrt_file.h"
#include "ctl/offline.h"

namespace vr::ctl {

namespace {

/// Octets read from the file at once.
constexpr std::size_t kPieceOfFile = 64 * 1024;

class Loader {
  public:
    Loader(std::optional<IpAddr> neighbor, const Ask& ask) : neighbor_(neighbor), ask_(ask) {
        begin();
    }

    void add(const bgp::MrtPath& path) {
        if (path.kind != bgp::MrtPath::Kind::Recorded) {
            return tell("messages of a session are not loaded, only tables are");
        }
        if (neighbor_ && *neighbor_ != path.peer.address) {
            return;
        }
        found_ = true;
        if (path.prefix == last_) {
            return;
        }
        last_ = path.prefix;
        const std::size_t before = batch_.size();
        peers_.write_route(
            {.prefix = path.prefix, .paths = {{.attributes = path.attributes}}}, batch_);
        count_ += batch_.size() == before ? 0 : 1;
    }

    void tell(std::string problem) {
        if (const auto& known = loaded_.problems();
            known.size() < kMostProblems && (known.empty() || *known.rbegin() != problem)) {
            loaded_.add_problems(std::move(problem));
        }
    }

    [[nodiscard]] bool is_full() const { return count_ == kMostLoaded; }

    /// Sends what there is; false when the router was not reached, or has refused it.
    [[nodiscard]] bool send() {
        if (count_ == 0) {
            return true;
        }
        const auto octets = batch_.release();
        pb::Request request;
        request.mutable_load_bgp()->mutable_mrt()->assign(octets.begin(), octets.end());
        begin();
        answer_ = ask_(request);
        if (!answer_ || answer_->has_error()) {
            return false;
        }
        loaded_.set_routes(loaded_.routes() + answer_->bgp_loaded().routes());
        return true;
    }

    /// What there is to say of all of it.
    [[nodiscard]] Result<pb::Response> answer() && {
        if (neighbor_ && !found_) {
            tell("no path is of " + to_string(*neighbor_));
        }
        if (answer_ && !answer_->has_error()) {
            *answer_->mutable_bgp_loaded() = std::move(loaded_);
        }
        return std::move(answer_);
    }

  private:
    static constexpr int kMostProblems = 100;

    void begin() {
        count_ = 0;
        batch_ = Writer{};
        peers_.write_peers(batch_);
    }

    std::optional<IpAddr> neighbor_;
    const Ask& ask_;
    bgp::MrtDump peers_{bgp::MrtPeer{}, {}, 0};  ///< the router itself
    Writer batch_;
    std::size_t count_ = 0;
    bool found_ = false;  ///< a path of those that are wanted
    std::optional<IpPrefix> last_;
    pb::BgpLoaded loaded_;
    Result<pb::Response> answer_;
};

}  // namespace

Result<pb::Response> load_mrt(const Values& values, const Files& files, const Ask& ask) {
    const auto read = files.open(values.text("file"));
    if (!read) {
        return fail(read.error().text);
    }
    Loader loader{parse_ip(values.text("neighbor")), ask};
    const auto tell = [&](std::string problem) { loader.tell(std::move(problem)); };
    bgp::MrtReader reader;
    std::vector<std::uint8_t> room(kPieceOfFile);
    for (bool begins = true;; begins = false) {
        const auto size = (*read)(room);
        if (!size) {
            return fail(size.error().text);
        }
        if (*size == 0) {
            break;
        }
        const Bytes piece = Bytes{room}.first(*size);
        const auto problem = begins ? compression_problem(piece, "bgp load") : std::string{};
        if (!problem.empty()) {
            return fail(values.text("file") + ": " + problem);
        }
        reader.feed(piece);
        while (reader.read([&](const bgp::MrtPath& path) { loader.add(path); }, tell)) {
            if (loader.is_full() && !loader.send()) {
                return std::move(loader).answer();
            }
        }
    }
    reader.finish(tell);
    (void)loader.send();
    return std::move(loader).answer();
}

std::string bgp_loaded_text(const pb::Response& frame) {
    std::string text = fmt::format("routes: {}\n", frame.bgp_loaded().routes());
    for (const std::string& problem : frame.bgp_loaded().problems()) {
        text += "problem: " + problem + "\n";
    }
    return text;
}

Exit bgp_loaded_exit(const pb::Response& frame) {
    return frame.bgp_loaded().problems().empty() ? Exit::Ok : Exit::Refused;
}

}  // namespace vr::ctl
