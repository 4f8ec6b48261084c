// SPDX-License-Identifier: Apache-2.0
#include "vhost/device.h"

#include <algorithm>
#include <utility>

namespace vr::vhost {

namespace {

/// Rings of a guest that did not negotiate several queue pairs.
constexpr unsigned kSinglePairRings = 2;

}  // namespace

Device::Device(GracePeriod& grace, EventCallback on_event)
    : grace_(grace), on_event_(std::move(on_event)) {}

bool Device::connect(int device) {
    const std::lock_guard lock(mutex_);
    if (connection_ != kNone || retired_) {
        ++turned_away_;
        return false;
    }
    connection_ = device;
    for (std::atomic<bool>& ring : enabled_) {
        ring.store(false, std::memory_order_relaxed);
    }
    usable_rings_ = kMaxRings;
    count_pairs();
    return true;
}

void Device::disconnect(int device) {
    const std::lock_guard lock(mutex_);
    if (connection_ == device) {
        connection_ = kNone;
    }
}

void Device::start(int device, Negotiated negotiated) {
    {
        const std::lock_guard lock(mutex_);
        if (connection_ != device || retired_) {
            return;
        }
        // The library frees the rings above the first pair when a guest renounces multiqueue, and
        // says nothing: touch none that may be gone, nor any that a guest adds behind our back.
        usable_rings_ = has_multiqueue(negotiated.features) ? kMaxRings : kSinglePairRings;
        for (std::size_t ring = negotiated.ring_sizes.size(); ring < kMaxRings; ++ring) {
            enabled_[ring].store(false, std::memory_order_relaxed);
        }
        negotiated_ = std::move(negotiated);
        count_pairs();
        // Release: workers that see the id also see what the library and we wrote before it.
        running_.store(device, std::memory_order_release);
    }
    report(Event::Connected);
}

void Device::stop(int device) {
    if (hide(device)) {
        grace_.wait();
        report(Event::Disconnected);
    }
}

void Device::change_ring(int device, unsigned ring, bool enabled) {
    {
        const std::lock_guard lock(mutex_);
        if (connection_ != device || ring >= kMaxRings) {
            return;
        }
        enabled_[ring].store(enabled, std::memory_order_relaxed);
        if (!count_pairs() || running_.load(std::memory_order_relaxed) != device) {
            return;
        }
    }
    // No grace period here: the library holds the locks of all rings, and a worker may be spinning on
    // one of them.  Those locks also keep workers out of the ring while it changes.
    report(Event::QueueChanged);
}

void Device::change_features(int device, Features features) {
    const std::lock_guard lock(mutex_);
    if (connection_ == device) {
        negotiated_.features = features;
    }
}

DeviceStatus Device::status() const {
    const std::lock_guard lock(mutex_);
    return {
        .connected = connection_ != kNone,
        .running = running_.load(std::memory_order_relaxed) != kNone,
        .rx_pairs = rx_pairs(),
        .tx_pairs = tx_pairs(),
        .turned_away = turned_away_,
        .negotiated = negotiated_,
    };
}

void Device::retire() {
    {
        const std::lock_guard lock(mutex_);
        retired_ = true;
    }
    if (hide(kNone)) {
        grace_.wait();
    }
}

bool Device::hide(int device) {
    const std::lock_guard lock(mutex_);
    const int current = running_.load(std::memory_order_relaxed);
    if (current == kNone || (device != kNone && device != current)) {
        return false;
    }
    // Release orders this before the grace period that follows; wait() orders it for the workers: a
    // burst begun after their quiescent point reads kNone, one begun earlier has ended.
    running_.store(kNone, std::memory_order_release);
    return true;
}

void Device::report(Event event) {
    {
        const std::lock_guard lock(mutex_);
        if (retired_) {
            return;
        }
    }
    if (on_event_) {
        on_event_(event);
    }
}

bool Device::count_pairs() noexcept {
    // Even rings carry packets to the guest, odd ones from it.
    unsigned rx = 0;
    unsigned tx = 0;
    for (unsigned pair = 0; pair < usable_rings_ / 2; ++pair) {
        if (tx == pair && ring_enabled(2 * pair)) {
            tx = pair + 1;
        }
        if (ring_enabled(2 * pair + 1)) {
            rx = pair + 1;
        }
    }
    const bool changed = rx != rx_pairs() || tx != tx_pairs();
    // Relaxed: a worker that acts on an old count meets rings that exist as long as the device runs.
    rx_pairs_.store(rx, std::memory_order_relaxed);
    tx_pairs_.store(tx, std::memory_order_relaxed);
    return changed;
}

}  // namespace vr::vhost
