// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/packet.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "vrouter/dataplane/packet_note.h"
#include "vrouter/dataplane/packet_pool.h"
#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"

namespace vr {

void Packet::Free::operator()(rte_mbuf* buffer) const noexcept {
    rte_pktmbuf_free(buffer);
}

Packet Packet::copy_of(rte_mempool* pool, std::span<const std::uint8_t> frame) noexcept {
    return Packet{make_packet(pool, frame)};
}

std::span<std::uint8_t> Packet::frame() const noexcept {
    return {rte_pktmbuf_mtod(buffer_.get(), std::uint8_t*), rte_pktmbuf_data_len(buffer_.get())};
}

PacketNote& Packet::note() const noexcept {
    return note_of(buffer_.get());
}

namespace {

constexpr std::uint16_t kMoreFlag = 0x2000;

/// One fragment: the header of `whole` with `data`, which begins at `offset` of the whole's payload.
Packet make_fragment(
    const Ip4Header& whole,
    std::span<const std::uint8_t> data,
    std::size_t offset,
    bool more,
    rte_mempool* pool) {
    std::vector<std::uint8_t> frame(sizeof(EthernetHeader) + sizeof(Ip4Header) + data.size());
    Ip4Header header = whole;
    header.total_length = Be16{static_cast<std::uint16_t>(sizeof(Ip4Header) + data.size())};
    // A fragment that is cut again keeps its place in the datagram.
    const auto base = static_cast<std::size_t>(whole.flags_fragment.value() & 0x1fffU);
    const bool flag = more || (whole.flags_fragment.value() & kMoreFlag) != 0;
    header.flags_fragment =
        Be16{static_cast<std::uint16_t>((base + offset / 8) | (flag ? kMoreFlag : 0U))};
    header.checksum = Be16{};
    header.checksum =
        Be16{checksum(Bytes{reinterpret_cast<const std::uint8_t*>(&header), sizeof header})};
    std::memcpy(frame.data() + sizeof(EthernetHeader), &header, sizeof header);
    std::ranges::copy(
        data, frame.begin() + sizeof(EthernetHeader) + static_cast<std::ptrdiff_t>(sizeof header));
    return Packet::copy_of(pool, frame);
}

}  // namespace

std::vector<Packet> fragment_ip4(const Packet& packet, std::uint16_t mtu, rte_mempool* pool) {
    const auto frame = packet.frame();
    Ip4Header whole{};
    if (frame.size() < sizeof(EthernetHeader) + sizeof whole ||
        frame.size() != rte_pktmbuf_pkt_len(packet.get())) {
        return {};
    }
    std::memcpy(&whole, frame.data() + sizeof(EthernetHeader), sizeof whole);
    const std::size_t step = (mtu - sizeof whole) / 8 * 8;
    // Options would have to be copied or not, each by its kind (RFC 791 3.1): not worth it here.
    if (whole.version_ihl != 0x45 || mtu < 68 ||
        frame.size() < sizeof(EthernetHeader) + whole.total_length.value()) {
        return {};
    }
    const auto payload = std::span<const std::uint8_t>(frame).subspan(
        sizeof(EthernetHeader) + sizeof whole, whole.total_length.value() - sizeof whole);
    std::vector<Packet> fragments;
    for (std::size_t at = 0; at < payload.size(); at += step) {
        const std::size_t size = std::min(step, payload.size() - at);
        Packet piece =
            make_fragment(whole, payload.subspan(at, size), at, at + size < payload.size(), pool);
        if (!piece) {
            return {};
        }
        fragments.push_back(std::move(piece));
    }
    return fragments;
}

}  // namespace vr
