// SPDX-License-Identifier: Apache-2.0
#include "perf/traffic.h"

#include <rte_mempool.h>

#include <algorithm>
#include <cstring>

namespace vr::perf {

template <Family F>
TrafficSource<F>::TrafficSource(
    Mac mac, Mac sender, const std::vector<TrafficFlow<F>>& flows, rte_mempool* pool)
    : mac_(mac), pool_(pool) {
    for (const TrafficFlow<F>& flow : flows) {
        const std::size_t data = kFrameSize - test::kL4<F> - sizeof(UdpHeader);
        const test::Frame frame = test::frame_of<F>(
            {.link_source = sender,
             .link_destination = mac,
             .source = flow.source,
             .destination = flow.destination},
            test::udp_header(flow.source_port.value(), flow.destination_port.value(), data));
        std::copy_n(frame.begin(), kFrameSize, frame_.begin());
        Varying varying;
        std::copy_n(frame.begin() + kVaryingAt, kVarying, varying.begin());
        flows_.push_back(varying);
    }
}

template <Family F>
std::uint16_t TrafficSource<F>::rx(
    void* self, std::uint16_t /*queue*/, rte_mbuf** packets, std::uint16_t count) noexcept {
    auto& source = *static_cast<TrafficSource*>(self);
    if (source.left_ < count ||
        rte_mempool_get_bulk(source.pool_, reinterpret_cast<void**>(packets), count) != 0) {
        return 0;
    }
    for (std::uint16_t i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        rte_pktmbuf_reset(packet);
        packet->data_len = kFrameSize;
        packet->pkt_len = kFrameSize;
        auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
        std::memcpy(data, source.frame_.data(), kFrameSize);
        std::memcpy(data + kVaryingAt, source.flows_[source.next_].data(), kVarying);
        source.next_ = source.next_ + 1 == source.flows_.size() ? 0 : source.next_ + 1;
    }
    source.made_ += count;
    source.left_ -= count;
    return count;
}

template <Family F>
std::uint16_t TrafficSource<F>::tx(
    void* /*self*/, std::uint16_t /*queue*/, rte_mbuf** /*p*/, std::uint16_t /*n*/) noexcept {
    return 0;
}

template <Family F>
std::uint16_t TrafficSink<F>::rx(
    void* /*self*/, std::uint16_t /*queue*/, rte_mbuf** /*p*/, std::uint16_t /*n*/) noexcept {
    return 0;
}

template <Family F>
std::uint16_t TrafficSink<F>::tx(
    void* self, std::uint16_t /*queue*/, rte_mbuf** packets, std::uint16_t count) noexcept {
    auto& sink = *static_cast<TrafficSink*>(self);
    sink.bad_ += sink.right(packets[0]) ? 0 : 1;
    sink.taken_ += count;
    rte_pktmbuf_free_bulk(packets, count);
    return count;
}

template <Family F>
bool TrafficSink<F>::right(const rte_mbuf* packet) const noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const std::uint8_t* ip = frame + test::kIp;
    const std::size_t hops_at = F::kVersion == 4 ? 8 : 7;
    return packet->pkt_len == kFrameSize && Mac::load(frame) == receiver_ && ip[hops_at] == hops_ &&
           (F::kVersion == 6 || checksum(Bytes{ip, sizeof(Ip4Header)}) == 0);
}

template class TrafficSource<V4>;
template class TrafficSource<V6>;
template class TrafficSink<V4>;
template class TrafficSink<V6>;

}  // namespace vr::perf
