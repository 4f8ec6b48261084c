// PolicyLog: records of Log rules on their way from the workers to the control thread, which writes
// them.  Bounded and lock-free; a record that finds no room is lost and counted.  POLICY 2.5 step 6.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "vrouter/dataplane/acl.h"
#include "vrouter/net/result.h"

struct rte_ring;

namespace vr {

enum class PolicyDirection : std::uint8_t { Ingress, Egress };

/// One packet that Log rules matched.
struct PolicyLogRecord {
    const acl::Program* program = nullptr;  ///< only to be compared: it may be gone by now
    std::uint32_t rule = 0;                 ///< the last that did
    PortId endpoint;                        ///< whose policy it was
    PolicyDirection direction = PolicyDirection::Ingress;
    bool ip6 = false;
    bool allowed = false;  ///< what policy decided in the end
    std::uint8_t protocol = 0;
    bool has_ports = false;
    L4Port source_port;
    L4Port destination_port;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    std::array<std::uint8_t, 16> source{};  ///< wire order, 4 or 16 bytes
    std::array<std::uint8_t, 16> destination{};
};

class PolicyLog {
  public:
    [[nodiscard]] static Result<std::unique_ptr<PolicyLog>> make(unsigned size);
    PolicyLog(const PolicyLog&) = delete;
    PolicyLog& operator=(const PolicyLog&) = delete;
    PolicyLog(PolicyLog&&) = delete;
    PolicyLog& operator=(PolicyLog&&) = delete;
    ~PolicyLog();

    /// Any worker.
    void push(const PolicyLogRecord& record) noexcept;

    /// False when there is none.  Control thread.
    [[nodiscard]] bool pop(PolicyLogRecord& record) noexcept;

    [[nodiscard]] std::uint64_t lost() const noexcept {
        return lost_.load(std::memory_order_relaxed);
    }

  private:
    explicit PolicyLog(rte_ring* ring) : ring_(ring) {}

    rte_ring* ring_;
    std::atomic<std::uint64_t> lost_{0};
};

}  // namespace vr
