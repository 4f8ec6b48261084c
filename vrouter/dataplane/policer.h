// Policer: token buckets that all workers share, one line of memory for each direction of an endpoint.
//
// A bucket is the generic cell rate algorithm (GCRA, ITU-T I.371, virtual scheduling): its whole state is
// the time at which it will be full again, one 64-bit atomic that a batch of packets changes once.  Rates
// become times: a packet pushes that point in time on by what it costs, and conforms if it does not get
// further ahead of now than a full bucket holds.  Packets are judged by the batch and workers may sleep
// between batches, so a bucket holds at least what its rate brings in 4 ms (as that of tc's tbf needs a
// timer tick), and one whole frame.
//
// Time is whatever clock the caller has, `hz` units a second; the same for all who share a bucket.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "vrouter/dataplane/qos.h"

namespace vr {

/// How fast a bucket fills and what it holds, in time.
class BucketRate {
  public:
    /// No limit.
    BucketRate() noexcept = default;

    /// `units` a second, `at_once` units beyond that.
    BucketRate(std::uint64_t units, std::uint64_t at_once, std::uint64_t hz) noexcept;

    [[nodiscard]] bool limits() const noexcept { return per_unit_ != 0; }

    /// What `units` of them cost.
    [[nodiscard]] std::uint64_t time_of(std::uint64_t units) const noexcept {
        return static_cast<std::uint64_t>((Wide{units} * per_unit_) >> kFraction);
    }

    [[nodiscard]] std::uint64_t depth() const noexcept { return depth_; }

    friend bool operator==(const BucketRate&, const BucketRate&) = default;

  private:
    __extension__ using Wide = unsigned __int128;
    static constexpr unsigned kFraction = 24;

    std::uint64_t per_unit_ = 0;  ///< time of one, times 2^kFraction
    std::uint64_t depth_ = 0;     ///< time of a full bucket
};

class SharedBucket {
  public:
    /// Bits of those packets of `mask` (bit i: packet i, in this order) that conform; `units(i)`: what
    /// packet i takes out.  Any thread.
    template <typename Units>
    [[nodiscard]] std::uint32_t admit(
        const BucketRate& rate, std::uint64_t now, std::uint32_t mask, Units units) noexcept {
        // Relaxed: the bucket is all that is shared.
        std::uint64_t seen = full_at_.load(std::memory_order_relaxed);
        for (;;) {
            std::uint64_t full_at = within(seen, now, rate.depth());
            std::uint32_t admitted = 0;
            for (std::uint32_t left = mask; left != 0; left &= left - 1) {
                const std::uint64_t cost =
                    rate.time_of(units(static_cast<unsigned>(std::countr_zero(left))));
                if (full_at + cost - now <= rate.depth()) {
                    full_at += cost;
                    admitted |= left & (0U - left);
                }
            }
            if (full_at == seen ||
                full_at_.compare_exchange_weak(seen, full_at, std::memory_order_relaxed)) {
                return admitted;
            }
        }
    }

    /// Puts back what the packets of `mask`, all of them just admitted, took out: another bucket refuses them.
    /// Where time has filled it meanwhile, or empty() has for another rate, that is too much; but a bucket never
    /// holds more than it may, so at most a full one passes beyond the rate.
    template <typename Units>
    void put_back(const BucketRate& rate, std::uint32_t mask, Units units) noexcept {
        std::uint64_t cost = 0;
        for (std::uint32_t left = mask; left != 0; left &= left - 1) {
            cost += rate.time_of(units(static_cast<unsigned>(std::countr_zero(left))));
        }
        full_at_.fetch_sub(cost, std::memory_order_relaxed);
    }

    /// Takes everything out: what is left over of another rate is nothing that this one has allowed.
    void empty(const BucketRate& rate, std::uint64_t now) noexcept {
        full_at_.store(now + rate.depth(), std::memory_order_relaxed);
    }

  private:
    /// A bucket is never more than full.  It is a little emptier than empty where the clock of another core
    /// is ahead; by more, its rate has changed or the clock starts anew: then it is empty.
    [[nodiscard]] static std::uint64_t within(
        std::uint64_t full_at, std::uint64_t now, std::uint64_t depth) noexcept {
        const auto ahead = static_cast<std::int64_t>(full_at - now);
        if (ahead <= 0) {
            return now;
        }
        return static_cast<std::uint64_t>(ahead) < depth + kAheadOfUs ? full_at : now + depth;
    }

    static constexpr std::uint64_t kAheadOfUs = std::uint64_t{1} << 36U;  ///< a second, about

    std::atomic<std::uint64_t> full_at_{0};
};

/// What the limits of one direction of an endpoint have left and have dropped.  Outlives changes of the
/// endpoint, or each of them would fill the buckets.
struct alignas(64) PolicerState {
    SharedBucket packets;
    SharedBucket peak;
    SharedBucket bits;
    std::atomic<std::uint64_t> over_packet_rate{0};
    std::atomic<std::uint64_t> over_bandwidth{0};    ///< or over the peak rate
    std::atomic<std::uint64_t> over_connections{0};  ///< refused connections
};

static_assert(sizeof(PolicerState) == 64);

/// One direction of an endpoint as workers see it.
struct Policer {
    /// No limits.
    Policer() noexcept = default;

    /// `frame`: the longest that the endpoint's port takes, in bytes.
    Policer(
        const RateLimits& limits,
        std::size_t frame,
        std::uint64_t hz,
        std::shared_ptr<PolicerState> kept) noexcept;

    BucketRate packets;
    BucketRate peak;
    BucketRate bits;
    std::uint64_t connections = 0;  ///< TCP connections at a time; 0: no limit
    std::shared_ptr<PolicerState> state;

    /// Comes in the place of `before`, with the same state: a bucket whose rate has changed begins empty.
    void take_over(const Policer& before, std::uint64_t now) const noexcept;

    [[nodiscard]] bool limits_rates() const noexcept {
        return packets.limits() || peak.limits() || bits.limits();
    }
};

/// Both directions of an endpoint.
struct EndpointLimits {
    Policer ingress;
    Policer egress;
};

}  // namespace vr
