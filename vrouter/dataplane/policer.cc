// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/policer.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace vr {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kBitsOfByte = 8;

std::uint64_t at_most(Wide value, std::uint64_t limit) noexcept {
    return value < limit ? static_cast<std::uint64_t>(value) : limit;
}

BucketRate bits_rate(
    std::uint64_t rate,
    std::uint64_t at_once,
    std::uint64_t frame_bits,
    std::uint64_t hz) noexcept {
    return rate == 0 ? BucketRate{} : BucketRate{rate, std::max(at_once, frame_bits), hz};
}

}  // namespace

BucketRate::BucketRate(std::uint64_t units, std::uint64_t at_once, std::uint64_t hz) noexcept {
    // Half of the clock's range: times that far ahead still compare.
    constexpr std::uint64_t kLongest = std::numeric_limits<std::int64_t>::max() / 2;
    constexpr std::uint64_t kTicks = 250;  // of 4 ms
    per_unit_ = std::max<std::uint64_t>(1, at_most((Wide{hz} << kFraction) / units, kLongest));
    const Wide least = Wide{hz} / kTicks;
    const Wide wanted = (Wide{at_once} * per_unit_) >> kFraction;
    depth_ = at_most(std::max(wanted, least), kLongest);
}

Policer::Policer(
    const RateLimits& limits,
    std::size_t frame,
    std::uint64_t hz,
    std::shared_ptr<PolicerState> kept) noexcept
    : peak(bits_rate(limits.peak_rate, limits.min_burst * kBitsOfByte, frame * kBitsOfByte, hz)),
      bits(bits_rate(limits.bandwidth, limits.burst, frame * kBitsOfByte, hz)),
      connections(limits.connections),
      state(std::move(kept)) {
    if (limits.packet_rate != 0) {
        packets =
            BucketRate{limits.packet_rate, std::max<std::uint64_t>(1, limits.packet_burst), hz};
    }
}

void Policer::take_over(const Policer& before, std::uint64_t now) const noexcept {
    const auto take = [now](SharedBucket& bucket, const BucketRate& was, const BucketRate& is) {
        if (was.limits() && is.limits() && was != is) {
            bucket.empty(is, now);
        }
    };
    take(state->packets, before.packets, packets);
    take(state->peak, before.peak, peak);
    take(state->bits, before.bits, bits);
}

}  // namespace vr
