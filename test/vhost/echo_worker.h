// EchoWorker: a worker for tests.  Sends numbered frames to its ports and checks what comes back.
//
// One thread polls all ports, as a router's worker does, and gives grace periods: one has passed when
// the thread has finished the round that was under way.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "vrouter/dataplane/port.h"
#include "vrouter/dataplane/reclaim.h"

struct rte_mempool;

namespace vr::vhost {

/// What one port's traffic came to.
struct EchoCount {
    std::atomic<std::uint64_t> sent = 0;
    std::atomic<std::uint64_t> returned = 0;  ///< unchanged but for the swapped addresses
    std::atomic<std::uint64_t> spoiled = 0;   ///< came back otherwise
};

class EchoWorker final : public GracePeriod {
  public:
    explicit EchoWorker(rte_mempool* pool);
    EchoWorker(const EchoWorker&) = delete;
    EchoWorker& operator=(const EchoWorker&) = delete;
    EchoWorker(EchoWorker&&) = delete;
    EchoWorker& operator=(EchoWorker&&) = delete;
    ~EchoWorker() override;

    /// Polls `io` from the next round on; the counts stay valid after drop().
    std::shared_ptr<EchoCount> serve(PortIo io);

    /// Lets go of the port: it is not touched after this returns.
    void drop(const void* self);

    void wait() noexcept override;

  private:
    struct Served {
        PortIo io;
        std::shared_ptr<EchoCount> count;
    };

    void run(const std::stop_token& stop);
    void send(Served& port, std::uint16_t queue);
    void receive(Served& port, std::uint16_t queue);

    rte_mempool* pool_;
    std::mutex mutex_;  ///< held for a round; the price of a simple test
    std::map<const void*, Served> ports_;
    std::atomic<std::uint64_t> rounds_ = 0;
    std::uint32_t sequence_ = 0;
    std::jthread thread_;
};

}  // namespace vr::vhost
