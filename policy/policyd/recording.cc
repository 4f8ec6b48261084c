// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/recording.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include <boost/json.hpp>
#include <policyd.pb.h>

namespace vr::policyd {

namespace {

namespace json = boost::json;

/// JSON is UTF-8, while names and documents may be any octets: of a line that is none, those above 127 are
/// replaced.
std::string line_of(const json::object& told) {
    std::string text = json::serialize(told) + "\n";
    boost::system::error_code error;
    (void)json::parse(text, error);
    if (!error) {
        return text;
    }
    std::string readable;
    for (const char octet : text) {
        readable += static_cast<std::uint8_t>(octet) < 0x80 ? std::string(1, octet) : "\uFFFD";
    }
    return readable;
}

void tell(const ObjectCame& came, json::object& into) {
    into["update"] = "object";
    into["object"] = to_string(came.key);
    into["document"] = came.document;
    if (!came.reason.empty()) {
        into["reason"] = came.reason;
    }
}

void tell(const ObjectWent& went, json::object& into) {
    into["update"] = "removal";
    into["object"] = to_string(went.key);
}

json::array texts(const std::vector<policy::PortMember>& members) {
    json::array all;
    for (const auto& [port, prefix] : members) {
        const std::string text = to_string(prefix);
        all.emplace_back(port == L4Port{} ? text : fmt::format("{} port {}", text, port.value()));
    }
    return all;
}

void tell(const policy::SetUpdate& set, json::object& into) {
    using How = policy::SetUpdate::How;
    into["update"] = "set";
    into["selector"] = set.name.selector;
    if (!set.name.port.empty()) {
        into["port"] = set.name.port;
        into["protocol"] = set.name.protocol;
    }
    into["how"] = set.how == How::Replace  ? "replace"
                  : set.how == How::Change ? "change"
                                           : "forget";
    into["added"] = texts(set.added);
    into["removed"] = texts(set.removed);
}

void tell(const OwnBlocks& own, json::object& into) {
    into["update"] = "own blocks";
    json::array all;
    for (const IpPrefix& block : own.blocks) {
        all.emplace_back(to_string(block));
    }
    into["blocks"] = std::move(all);
}

void tell(const AllTold& /*all*/, json::object& into) {
    into["update"] = "in sync";
}

}  // namespace

Result<Recording> Recording::create(const std::string& path) {
    Recording recording;
    recording.file_.open(path, std::ios::binary | std::ios::trunc);
    if (!recording.file_) {
        return fail("cannot write " + path);
    }
    return recording;
}

void Recording::add(const std::string& host, const std::string& sent) {
    pb::Recorded entry;
    entry.set_host(host);
    entry.set_milliseconds(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                       std::chrono::steady_clock::now() - began_)
                                       .count()));
    if (sent.size() >= kFrameLengthBytes &&
        entry.mutable_message()->ParseFromString(sent.substr(kFrameLengthBytes))) {
        file_ << frame(entry) << std::flush;
    }
}

Result<void> play(
    std::istream& file, const std::function<Result<void>(const pb::Recorded& entry)>& visit) {
    // A recorded frame holds one of the stream, and a little more.
    FrameDecoder decoder(kMaxFrame + 65536);
    std::array<char, 65536> buffer{};
    while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
        decoder.feed(
            {reinterpret_cast<const std::uint8_t*>(buffer.data()),
             static_cast<std::size_t>(file.gcount())});
        while (true) {
            const auto content = decoder.next();
            if (!content) {
                return fail(content.error().text);
            }
            if (!*content) {
                break;
            }
            pb::Recorded entry;
            if (!entry.ParseFromArray((*content)->data(), static_cast<int>((*content)->size()))) {
                return fail("is no recording of vrouter-policyd");
            }
            if (auto visited = visit(entry); !visited) {
                return visited;
            }
        }
    }
    return decoder.is_empty() ? Result<void>{} : fail("ends amid a message");
}

Result<void> play(
    const std::string& path, const std::function<Result<void>(const pb::Recorded& entry)>& visit) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return fail("cannot read " + path);
    }
    auto played = play(file, visit);
    return played ? std::move(played) : fail(std::move(played).error(), path);
}

Result<std::string> json_lines(const pb::Recorded& entry) {
    const pb::FromServer& message = entry.message();
    json::object line{{"host", entry.host()}, {"milliseconds", entry.milliseconds()}};
    if (message.has_welcome()) {
        const pb::Welcome& welcome = message.welcome();
        line["welcome"] = {
            {"epoch", welcome.epoch()},
            {"resumed", welcome.resumed()},
            {"sequence", welcome.sequence()}};
    } else if (message.has_refused()) {
        line["refused"] = message.refused().reason();
    } else if (message.has_ping()) {
        line["ping"] = true;
    }
    if (!message.has_batch()) {
        return line_of(line);
    }
    line["sequence"] = message.batch().sequence_number();
    line["more"] = message.batch().more();
    std::string lines;
    for (const pb::ToDataplane& sent : message.batch().updates()) {
        const auto update = read_update(sent);
        if (!update) {
            return std::unexpected(update.error());
        }
        json::object told = line;
        std::visit([&](const auto& what) { tell(what, told); }, *update);
        lines += line_of(told);
    }
    return lines;
}

}  // namespace vr::policyd
