// trace: what would happen to a packet, and what decides.  Nothing is sent, no flow is made.
//
// Walks the stages of the pipeline in their order, over the very tables that workers read (lookups,
// classifiers and flows are theirs), and says in words what each finds.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/drop.h"
#include "vrouter/dataplane/facts.h"
#include "vrouter/machine.h"
#include "vrouter/net/headers.h"

namespace vr {

/// A packet that might come in.  Both addresses are of one family.
struct TraceQuery {
    PortId in;  ///< PortId{}: sent by the host itself
    IpAddr source;
    IpAddr destination;
    std::uint8_t protocol = 6;
    L4Port source_port;
    L4Port destination_port;
    std::uint8_t tcp_flags = tcpflag::kSyn;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    std::uint16_t length = 0;       ///< of the IP packet; 0: small enough for any port
    std::optional<Mac> source_mac;  ///< absent: the endpoint's own
};

struct TraceStep {
    enum class Outcome : std::uint8_t { Pass, Drop, Note };

    std::string stage;
    Outcome outcome = Outcome::Note;
    std::string detail;
    std::optional<acl::Origin> origin;  ///< policy stages: the deciding rule
};

struct TraceResult {
    std::vector<TraceStep> steps;
    DropReason reason = DropReason::None;  ///< None: delivered
    PortId out;                            ///< where it leaves; PortId{}: answered by the router
    // As it leaves:
    IpAddr source;
    IpAddr destination;
    acl::PortRange
        source_ports;  ///< its source port, or the identifier of ICMP echo, is among these
    std::optional<std::uint8_t> dscp;  ///< absent: as it came
};

[[nodiscard]] TraceResult trace(Machine& machine, const TraceQuery& query);

}  // namespace vr
