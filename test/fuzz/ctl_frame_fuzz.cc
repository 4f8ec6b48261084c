// Fuzz target: what a client may send.  The first byte chooses how the rest is split; every message
// that comes out is decoded as a request and, if it is one, must survive being framed again.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <vrouter.pb.h>

#include "ctl/framing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::size_t piece = bytes[0] + std::size_t{1};
    vr::Bytes stream{bytes + 1, size - 1};
    vr::FrameDecoder decoder;
    while (!stream.empty()) {
        const std::size_t n = std::min(piece, stream.size());
        decoder.feed(stream.first(n));
        stream = stream.subspan(n);
        while (true) {
            const auto content = decoder.next();
            if (!content) {
                return 0;
            }
            if (!*content) {
                break;
            }
            const auto request = vr::ctl::parse_request(**content);
            if (request && !vr::ctl::frame(*request)) {
                std::abort();
            }
        }
    }
    return 0;
}
