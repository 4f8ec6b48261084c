// A router's control side in memory: machine, slow path, builder and workloads as vrouterd joins them,
// one worker and the builder's answers driven by hand.
//
//   gateway 10.0.0.254 -- fabric 10.0.0.1/24 | router | guests at ports that tests open
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "test/dataplane/pipeline_lab.h"
#include "vrouter/builder.h"
#include "vrouter/slow_path.h"
#include "vrouter/workloads.h"

namespace vr::test {

class RouterLab {
  public:
    explicit RouterLab(MachineSettings settings = defaults());
    RouterLab(const RouterLab&) = delete;
    RouterLab& operator=(const RouterLab&) = delete;
    RouterLab(RouterLab&&) = delete;
    RouterLab& operator=(RouterLab&&) = delete;

    /// The builder's thread ends before what it answers into.
    ~RouterLab() { builder.reset(); }

    /// A round of housekeeping, also what of it waits for its next slice: on a slow machine there may be some.
    void keep_house() const {
        machine->housekeeping();
        while (machine->rcu().is_behind()) {
            machine->finish();
        }
    }

    [[nodiscard]] static MachineSettings defaults() {
        return {.packets = 2047, .flows = 4096, .idle = {.sleep = false}};
    }

    /// Adds a port to the machine.
    PortId add_port(const std::string& name, PortKind kind, Mac mac, std::uint16_t mtu = 1500);

    /// Every port of this router is one.
    [[nodiscard]] MemoryPort& memory(PortId id) {
        return static_cast<MemoryPort&>(*machine->port(id)->port);
    }

    /// Lets a frame in and turns until nothing moves any more.
    void receive(PortId in, const Frame& frame);

    /// One round of the worker / one burst of the slow path, in turn, until both are idle.
    void settle();

    /// Runs the worker once.
    void poll();

    /// What was sent to a port since the last call.
    std::vector<Frame> take_sent(PortId id);

    /// Waits for one answer of the builder and handles it; false when none is due.
    bool finish_one();

    /// Handles every answer of the builder.
    void finish_all();

    /// A workload named `name` with the address of this number in both families.
    [[nodiscard]] static Workload workload(
        const std::string& name,
        std::uint32_t address,
        const acl::Program& ingress = allow_all(),
        const acl::Program& egress = allow_all());

    /// An IPv4 packet as the gateway sends it to the fabric port.
    [[nodiscard]] static Frame from_outside(
        std::uint32_t source, std::uint32_t destination, std::uint16_t source_port);

    /// The port of a workload.
    [[nodiscard]] PortId port_of(const std::string& name) const {
        return workloads->find(name)->port;
    }

    [[nodiscard]] std::uint64_t drops(PortId port, DropReason reason) const {
        return machine->totals(port).drops[static_cast<std::size_t>(reason)];
    }

    /// Packet buffers in use.
    [[nodiscard]] unsigned buffers_in_use() const;

    std::unique_ptr<Machine> machine;
    PortId fabric;
    std::unique_ptr<SlowPath> slow_path;
    std::unique_ptr<Builder> builder;
    std::unique_ptr<Workloads> workloads;
    std::vector<std::string> announced;  ///< "+10.1.0.2/32", "-10.1.0.2/32"
    std::string refuse_open;             ///< not empty: why opening a port fails
    std::string reserved;                ///< the prefix that no workload may have
    int opened = 0;
    bool open_at_once = true;  ///< false: endpoints wait until workloads->finish() is called
    TimePoint now{std::chrono::hours{1}};

  private:
    bool finishing_ = false;
    std::mutex mutex_;
    std::condition_variable answered_;
    std::deque<std::function<void()>> answers_;
};

inline constexpr Mac kFabricMac{{2, 0, 0, 0, 0, 1}};
inline constexpr std::uint32_t kFabricAddress = 0x0a000001;

}  // namespace vr::test
