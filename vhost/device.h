// Device: what stands at the far end of one vhost-user socket, as rte_vhost's callbacks tell it.
//
// Three kinds of threads meet here.  rte_vhost's threads report changes (and the control thread where
// the library calls back from within open and close), workers ask before each burst whether they may
// touch the rings, the control thread reads the status.  The rule that keeps workers off unmapped
// guest memory: stop() hides the device, waits a grace period and only then returns to the library.
//
// A device outlives its connections: hypervisors come and go, one at a time.  Ring states arrive
// before the device starts and survive its stop (a rebooting guest keeps the rings that it does not
// touch), but not the connection.  Knows no rte_vhost call; driver.h is the glue.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "vhost/features.h"
#include "vrouter/dataplane/reclaim.h"

namespace vr::vhost {

/// Why the callback of a port was called.  Read Port::device() for the state as it is by then.
enum class Event : std::uint8_t {
    Connected,     ///< the guest's driver is ready: packets can flow
    Disconnected,  ///< the guest stopped, reset its device or vanished
    QueueChanged,  ///< a running guest uses more or fewer queue pairs
};

/// Called on rte_vhost's threads, sometimes with rings locked: it must only post and never wait.
using EventCallback = std::function<void(Event)>;

/// What guest and library have agreed on when the device starts.
struct Negotiated {
    Features features = 0;
    std::vector<std::uint16_t> ring_sizes;  ///< of every ring that exists: rx 0, tx 0, rx 1, ...
    std::optional<std::uint16_t> mtu;       ///< told by the hypervisor, if it did

    friend bool operator==(const Negotiated&, const Negotiated&) = default;
};

/// A copy of the state for operators.
struct DeviceStatus {
    bool connected = false;         ///< a hypervisor holds the socket
    bool running = false;           ///< the guest's driver is ready
    unsigned rx_pairs = 0;          ///< queue pairs that the guest may send on
    unsigned tx_pairs = 0;          ///< queue pairs that the guest receives on
    std::uint64_t turned_away = 0;  ///< hypervisors that came while another held the socket
    Negotiated negotiated;          ///< of the last start
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what workers read has its own cache lines
class Device {
  public:
    static constexpr int kNone = -1;
    static constexpr unsigned kMaxRings = 256;  ///< the library's limit, both directions together

    Device(GracePeriod& grace, EventCallback on_event);

    // Workers.

    /// The library's id of the running device, or kNone; valid until the next quiescent point.
    [[nodiscard]] int running() const noexcept {
        // Pairs with the release in start(): who sees the id sees the rings behind it.
        return running_.load(std::memory_order_acquire);
    }

    /// Queue pairs to poll: all enabled transmit rings of the guest are below this.
    [[nodiscard]] unsigned rx_pairs() const noexcept {
        return rx_pairs_.load(std::memory_order_relaxed);
    }

    /// Queue pairs to send to: this many receive rings of the guest, from 0 on, are enabled.
    [[nodiscard]] unsigned tx_pairs() const noexcept {
        return tx_pairs_.load(std::memory_order_relaxed);
    }

    /// A hint that saves a useless call.  Relaxed: the library looks again, under the ring's lock.
    [[nodiscard]] bool ring_enabled(unsigned ring) const noexcept {
        return enabled_[ring].load(std::memory_order_relaxed);
    }

    // rte_vhost's callbacks.  `device` is the library's id; one that is not ours is ignored.

    /// False when another hypervisor holds the socket: the newcomer must be turned away.
    [[nodiscard]] bool connect(int device);
    void disconnect(int device);
    void start(int device, Negotiated negotiated);
    /// Returns when no worker can be inside the device's rings.
    void stop(int device);
    void change_ring(int device, unsigned ring, bool enabled);
    void change_features(int device, Features features);

    // Control thread.

    [[nodiscard]] DeviceStatus status() const;

    /// For good: hides the device from workers, waits until none is inside its rings, and reports no
    /// event from now on.  Comes before the socket is unregistered, because the library calls back
    /// from there with its global lock held, and waiting for workers under that lock can dead-lock:
    /// another guest's message may hold that guest's rings, on which a worker spins, and want the lock.
    void retire();

  private:
    /// Hides the device from workers; `device` kNone: whichever runs.  False: it did not run.
    bool hide(int device);
    void report(Event event);
    /// Recomputes the pair counts; true when they changed.  Caller holds mutex_.
    bool count_pairs() noexcept;

    // Read by workers at each burst, written rarely.
    alignas(64) std::atomic<int> running_ = kNone;
    std::atomic<unsigned> rx_pairs_ = 0;
    std::atomic<unsigned> tx_pairs_ = 0;
    std::array<std::atomic<bool>, kMaxRings> enabled_{};

    // Never held while waiting, nor while calling anybody.
    alignas(64) mutable std::mutex mutex_;
    int connection_ = kNone;
    Negotiated negotiated_;
    unsigned usable_rings_ = kMaxRings;
    bool retired_ = false;
    std::uint64_t turned_away_ = 0;

    GracePeriod& grace_;
    EventCallback on_event_;
};

}  // namespace vr::vhost
