// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/recording.h"

#include <array>
#include <cstdint>

#include <policyd.pb.h>

namespace vr::policyd {

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
    const std::string& path,
    const std::function<void(const std::string& host, const pb::FromServer& message)>& visit) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return fail("cannot read " + path);
    }
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
                return fail(Error{content.error()}, path);
            }
            if (!*content) {
                break;
            }
            pb::Recorded entry;
            if (!entry.ParseFromArray((*content)->data(), static_cast<int>((*content)->size()))) {
                return fail(path + " is no recording of vrouter-policyd");
            }
            visit(entry.host(), entry.message());
        }
    }
    return {};
}

}  // namespace vr::policyd
