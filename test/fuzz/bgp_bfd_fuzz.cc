// Fuzz target of BFD: a session against a hostile neighbor, packets and pauses from the input.
//
// Input: records of a length byte and so many bytes of a packet; length 255 lets time pass instead.
// Whatever comes, what the session sends must be a packet that it would take itself.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "bgp/bfd_session.h"

using namespace vr;
using namespace vr::bgp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Time now{std::chrono::hours{1}};
    bfd::Session session{BfdConfig{}, 1, [] { return 0.5; }, now};
    Reader in{Bytes{data, size}};
    while (!in.empty()) {
        const std::size_t length = in.u8();
        if (length == 255) {
            now += std::chrono::milliseconds{in.u8()};
            session.tick(now);
        } else if (const auto packet = bfd::decode(in.bytes(std::min(length, in.remaining())))) {
            session.receive(*packet, now);
        }
        for (const bfd::Packet& sent : session.take_output()) {
            if (bfd::decode(bfd::encode(sent)) != sent) {
                std::abort();
            }
        }
        static_cast<void>(session.take_changes());
        if (session.next_deadline() <= now && length == 255) {
            std::abort();
        }
    }
    return 0;
}
