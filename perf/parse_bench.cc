// Header parsing of one packet, by what it carries: the first thing that happens to every packet.
//
// Packets lie in cache, as a NIC or a guest's ring leaves them at best.
// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <vector>

#include "perf/measure.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/net/checksum.h"

namespace vr::perf {
namespace {

constexpr std::size_t kPackets = 32;
constexpr std::size_t kLength = 50;  // a 64-byte frame without link header

using PacketBytes = std::vector<std::uint8_t>;

/// What the transport header at `at` says of its own length.
void write_length(PacketBytes& bytes, std::size_t at, std::uint8_t protocol) {
    if (protocol == ipproto::kTcp) {
        bytes[at + 12] = 0x50;
    } else {
        store_be(&bytes[at + 4], static_cast<std::uint16_t>(bytes.size() - at));
    }
}

/// TCP or UDP from 10.0.0.n / fd00::n, headers right, payload zero.
template <Family F>
PacketBytes packet(std::uint8_t protocol, std::uint8_t n);

template <>
PacketBytes packet<V4>(std::uint8_t protocol, std::uint8_t n) {
    PacketBytes bytes(kLength);
    Ip4Header header{};
    header.version_ihl = 0x45;
    header.total_length = Be16{kLength};
    header.ttl = 64;
    header.protocol = protocol;
    header.source = Be32{0x0a000000U + n};
    header.destination = Be32{0x0b000001U};
    header.checksum =
        Be16{checksum(Bytes{reinterpret_cast<const std::uint8_t*>(&header), sizeof header})};
    std::memcpy(bytes.data(), &header, sizeof header);
    write_length(bytes, sizeof header, protocol);
    return bytes;
}

template <>
PacketBytes packet<V6>(std::uint8_t protocol, std::uint8_t n) {
    PacketBytes bytes(sizeof(Ip6Header) + sizeof(TcpHeader));
    Ip6Header header{};
    header.version_class_flow = Be32{0x60000000U};
    header.payload_length = Be16{sizeof(TcpHeader)};
    header.next_header = protocol;
    header.hop_limit = 64;
    Ip6{0xfd00000000000000U, n}.store(header.source.data());
    Ip6{0xfd00000000000000U, 0x10000U}.store(header.destination.data());
    std::memcpy(bytes.data(), &header, sizeof header);
    write_length(bytes, sizeof header, protocol);
    return bytes;
}

template <Family F>
void parse(benchmark::State& state, std::uint8_t protocol) {
    std::vector<PacketBytes> packets;
    for (std::size_t n = 0; n < kPackets; ++n) {
        packets.push_back(packet<F>(protocol, static_cast<std::uint8_t>(n)));
        ParsedPacket<F> parsed;
        if (parse_ip<F>(packets.back(), packets.back().size(), parsed) != DropReason::None) {
            state.SkipWithError("the packet does not parse");
            return;
        }
    }
    for (auto _ : state) {
        for (const PacketBytes& bytes : packets) {
            ParsedPacket<F> parsed;
            benchmark::DoNotOptimize(parse_ip<F>(bytes, bytes.size(), parsed));
            benchmark::DoNotOptimize(parsed);
        }
    }
    report(state, kPackets);
}

/// The short way that the pipeline tries first.
template <Family F>
void parse_quick(benchmark::State& state, std::uint8_t protocol) {
    std::vector<PacketBytes> packets;
    for (std::size_t n = 0; n < kPackets; ++n) {
        packets.push_back(packet<F>(protocol, static_cast<std::uint8_t>(n)));
    }
    std::size_t parsed = 0;
    for (auto _ : state) {
        for (const PacketBytes& bytes : packets) {
            ParsedPacket<F> to;
            parsed +=
                parse_common<F>(bytes, bytes.size(), to.source, to.destination, to.facts) ? 1U : 0U;
            benchmark::DoNotOptimize(to);
        }
    }
    if (parsed != kPackets * static_cast<std::size_t>(state.iterations())) {
        state.SkipWithError("a packet does not parse the short way");
        return;
    }
    report(state, kPackets);
}

void register_all() {
    const auto add = [](const char* name, auto run, std::uint8_t protocol) {
        benchmark::RegisterBenchmark(
            name, [run, protocol](benchmark::State& state) { run(state, protocol); });
    };
    add("parse/ipv4/tcp", parse<V4>, ipproto::kTcp);
    add("parse/ipv4/udp", parse<V4>, ipproto::kUdp);
    add("parse/ipv6/tcp", parse<V6>, ipproto::kTcp);
    add("parse/ipv6/udp", parse<V6>, ipproto::kUdp);
    add("parse_common/ipv4/tcp", parse_quick<V4>, ipproto::kTcp);
    add("parse_common/ipv4/udp", parse_quick<V4>, ipproto::kUdp);
    add("parse_common/ipv6/tcp", parse_quick<V6>, ipproto::kTcp);
    add("parse_common/ipv6/udp", parse_quick<V6>, ipproto::kUdp);
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::register_all();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
