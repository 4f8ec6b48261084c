// Fuzz target of the packet path's parser: any bytes as one IP packet of both families.
//
// Input: one byte that says how much longer the packet is than its first segment, then that segment.
// No read beyond the segment (the sanitizer tells); lengths stay within the packet; the short way for
// common packets says what the full one says; a packet that is translated for a floating address, on either
// way or on both, is still one, between the other addresses.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/translate_ip.h"

namespace {

using namespace vr;

void check(bool invariant) {
    if (!invariant) {
        std::abort();
    }
}

template <Family F>
void translate(Bytes bytes, std::size_t length, const ParsedPacket<F>& before) {
    const auto other = *F::Addr::parse(F::kVersion == 4 ? "10.1.0.9" : "fd00::1:9");
    // Inward: what was sent to `external`; outward: what `internal` sent.
    const auto go = [&](const typename F::Addr& external,
                        const typename F::Addr& internal,
                        bool inward,
                        bool outward) {
        const TranslationWay way{inward, outward, before.facts.icmp_error};
        const PacketFacts& facts = before.facts;
        // With and without ports.
        const L4Port inside = inward ? L4Port{7} : facts.source_port;
        const L4Port outside = inward ? facts.destination_port : L4Port{61000};
        for (const Translation<F>& translation :
             {Translation<F>{TranslationId{1}, external, internal},
              Translation<F>{{}, external, internal, outside, inside}}) {
            std::vector<std::uint8_t> packet(bytes.begin(), bytes.end());
            check(translate_ip<F>(packet, translation, way));
            ParsedPacket<F> after;
            check(parse_ip<F>(Bytes{packet}, length, after) == DropReason::None);
            check(after.destination == (inward ? internal : before.destination));
            check(after.source == (outward ? external : before.source));
            check(after.facts.length == facts.length);
            check(facts.tcp_flags == after.facts.tcp_flags);
        }
    };
    go(before.destination, other, true, false);
    go(other, before.source, false, true);
    go(before.destination, before.source, true, true);
}

template <Family F>
void parse(Bytes bytes, std::size_t length) {
    ParsedPacket<F> full;
    const DropReason reason = parse_ip<F>(bytes, length, full);
    ParsedPacket<F> common;
    const bool quick =
        parse_common<F>(bytes, length, common.source, common.destination, common.facts);
    if (reason != DropReason::None) {
        check(!quick);
        return;
    }
    check(full.facts.length <= length);
    check(full.facts.fragment || full.fragment_offset == 0);
    translate(bytes, length, full);
    if (quick) {
        using Raw = std::array<std::uint8_t, sizeof(PacketFacts)>;
        check(common.source == full.source && common.destination == full.destination);
        check(std::bit_cast<Raw>(common.facts) == std::bit_cast<Raw>(full.facts));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    // A buffer of its own, so that its end is the segment's end.
    const std::vector<std::uint8_t> segment(input + 1, input + size);
    const std::size_t length = segment.size() + std::size_t{input[0]} * 8;
    parse<V4>(segment, length);
    parse<V6>(segment, length);
    return 0;
}
