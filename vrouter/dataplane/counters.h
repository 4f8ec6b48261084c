// Counters of one worker: written by it alone, read by the control thread at any time.
//
// Every packet that comes in ends in exactly one of sent, punted, consumed or dropped; the sums over
// all workers add up (a test says so).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "vrouter/dataplane/counter.h"
#include "vrouter/dataplane/drop.h"
#include "vrouter/dataplane/tables.h"

namespace vr {

struct alignas(64) PortCounters {
    Counter rx_packets;
    Counter rx_bytes;
    Counter tx_packets;
    Counter tx_bytes;
    Counter punted;    ///< handed to the control thread, by in-port
    Counter consumed;  ///< answered or swallowed by the worker itself, by in-port
    /// By in-port, except TxFull: by out-port.
    std::array<Counter, kDropCount> drops;
};

struct alignas(64) WorkerCounters {
    WorkerCounters() : ports(kMaxPorts) {}

    std::vector<PortCounters> ports;  ///< by PortId
    Counter injected;                 ///< packets taken over from the control thread
    Counter loops;
    Counter idle_sleeps;
};

}  // namespace vr
