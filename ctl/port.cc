// show ports.
// SPDX-License-Identifier: Apache-2.0
#include <numeric>
#include <utility>

#include "ctl/handlers.h"
#include "vrouter/machine.h"

namespace vr::ctl {

namespace {

pb::Port::Kind kind_of(PortKind kind) {
    switch (kind) {
        case PortKind::Fabric:
            return pb::Port::KIND_FABRIC;
        case PortKind::Workload:
            return pb::Port::KIND_WORKLOAD;
        case PortKind::Host:
            return pb::Port::KIND_HOST;
        case PortKind::None:
            break;
    }
    return pb::Port::KIND_UNSPECIFIED;
}

void fill_counters(const PortTotals& totals, pb::Port& row) {
    row.set_rx_packets(totals.rx_packets);
    row.set_rx_bytes(totals.rx_bytes);
    row.set_tx_packets(totals.tx_packets);
    row.set_tx_bytes(totals.tx_bytes);
    row.set_punted(totals.punted);
    row.set_consumed(totals.consumed);
    row.set_dropped(std::accumulate(totals.drops.begin(), totals.drops.end(), std::uint64_t{0}));
}

void fill(const Machine& machine, const PortAddresses& addresses, PortId id, pb::Port& row) {
    const PortRecord* record = machine.port(id);
    if (record == nullptr) {
        return;  // gone since the listing began
    }
    const PortStatus status = record->port->status();
    const auto& endpoint = machine.tables().ports[id.value()].endpoint;
    row.set_id(id.value());
    row.set_name(record->name);
    row.set_kind(kind_of(record->kind));
    row.set_driver(status.driver);
    row.set_link_up(status.link_up);
    row.set_detail(status.detail);
    row.set_mac(to_string(record->mac));
    row.set_mtu(record->mtu);
    row.set_endpoint(endpoint ? endpoint->name : "");
    for (std::string& address : addresses(*record)) {
        row.add_addresses(std::move(address));
    }
    fill_counters(machine.totals(id), row);
}

}  // namespace

Failure no_port(const std::string& name) {
    return {
        .code = pb::Error::CODE_NOT_FOUND,
        .text = "no port '" + name + "': 'show ports' lists them"};
}

void serve_ports(Dispatch& dispatch, const Machine& machine, PortAddresses addresses) {
    dispatch.on(
        pb::Request::kShowPorts,
        [&machine, addresses = std::move(addresses)](const pb::Request& request) -> Answer {
            const std::string& wanted = request.show_ports().port();
            std::vector<PortId> ids = machine.ports();
            if (!wanted.empty()) {
                const auto id = machine.find_port(wanted);
                if (!id) {
                    return no_port(wanted);
                }
                ids = {*id};
            }
            return listing<&pb::Response::mutable_ports>(
                std::move(ids), [&machine, addresses](PortId id, pb::Port& row) {
                    fill(machine, addresses, id, row);
                });
        });
}

}  // namespace vr::ctl
