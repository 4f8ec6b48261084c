// show routes.
//
// In order, as people expect, but for large tables: the listing costs neither time nor memory at once.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "ctl/handlers.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/net/zone.h"

namespace vr::ctl {

namespace {

pb::Route::Source source_of(RouteSource source) {
    switch (source) {
        case RouteSource::Local:
            return pb::Route::SOURCE_LOCAL;
        case RouteSource::Workload:
            return pb::Route::SOURCE_WORKLOAD;
        case RouteSource::Connected:
            return pb::Route::SOURCE_CONNECTED;
        case RouteSource::Neighbor:
            return pb::Route::SOURCE_NEIGHBOR;
        case RouteSource::Static:
            return pb::Route::SOURCE_STATIC;
        case RouteSource::EBgp:
            return pb::Route::SOURCE_EBGP;
        case RouteSource::IBgp:
            return pb::Route::SOURCE_IBGP;
    }
    return pb::Route::SOURCE_UNSPECIFIED;
}

/// Writes where a route leads into a row.
struct FillTarget {
    const RouteTable& routes;
    const PortName& port_name;
    pb::Route& row;

    void operator()(const Adjacency& station) const {
        row.set_action(pb::Route::ACTION_FORWARD);
        add(to_string(station.address), station.port);
    }

    void operator()(const Connected& network) const {
        row.set_action(pb::Route::ACTION_RESOLVE);
        add("", network.port);
    }

    void operator()(const LocalDelivery& /*here*/) const {
        row.set_action(pb::Route::ACTION_LOCAL);
    }

    void operator()(const Discard& /*nowhere*/) const { row.set_action(pb::Route::ACTION_DISCARD); }

    void operator()(const Floating& floating) const {
        row.set_action(pb::Route::ACTION_TRANSLATE);
        add(to_string(floating.station.address), floating.station.port);
    }

    void operator()(const Gateways& gateways) const {
        row.set_action(pb::Route::ACTION_FORWARD);
        for (const IpAddr& gateway : gateways.addresses) {
            add(gateway_text(gateway), port_towards(gateway));
        }
    }

    void add(const std::string& address, PortId port) const {
        auto& hop = *row.add_next_hops();
        hop.set_address(address);
        hop.set_port(port_name(port));
    }

    [[nodiscard]] PortId port_towards(const IpAddr& gateway) const {
        if (const auto* v6 = std::get_if<Ip6>(&gateway); v6 != nullptr && zone_of(*v6) != 0) {
            return PortId{zone_of(*v6)};
        }
        const auto route = routes.lookup(gateway);
        if (!route) {
            return PortId{};
        }
        if (const auto* station = std::get_if<Adjacency>(&route->target)) {
            return station->port;
        }
        const auto* network = std::get_if<Connected>(&route->target);
        return network == nullptr ? PortId{} : network->port;
    }
};

class Rows {
  public:
    Rows(const RouteTable& routes, PortName port_name)
        : routes_(routes), port_name_(std::move(port_name)) {}

    void fill(const RouteView& view, pb::Route& row) const {
        row.set_prefix(to_string(without_zone(view.prefix)));  // where it leads tells the link
        row.set_source(source_of(view.source));
        row.set_active(view.active);
        std::visit(FillTarget{.routes = routes_, .port_name = port_name_, .row = row}, view.target);
    }

    /// The route that a packet to `text` takes.
    [[nodiscard]] Answer route_of(const std::string& text) const {
        const auto address = address_of(text);
        if (!address) {
            return Failure{.code = pb::Error::CODE_INVALID, .text = address.error().text};
        }
        const auto view = routes_.lookup(*address);
        if (!view) {
            return Failure{.code = pb::Error::CODE_NOT_FOUND, .text = "no route covers " + text};
        }
        pb::Response response;
        fill(*view, *response.mutable_routes()->add_rows());
        return response;
    }

    /// All routes inside `within`, or all.
    [[nodiscard]] Slices all(std::optional<IpPrefix> within) const {
        using Key = std::pair<IpPrefix, RouteSource>;
        return sorted_listing<&pb::Response::mutable_routes, Key, RouteView>(
            [&routes = routes_, within, cursor = RouteTable::Cursor{}](auto& found) mutable {
                return routes.visit_slice(cursor, kRowsPerFrame, [&](const RouteView& view) {
                    if (is_inside(view.prefix, within)) {
                        found.emplace(Key{view.prefix, view.source}, view);
                    }
                });
            },
            [rows = *this](const Key&, const RouteView& view, pb::Route& row) {
                rows.fill(view, row);
            });
    }

  private:
    /// A link-local one may name its port: fe80::1%uplink0.
    [[nodiscard]] Result<IpAddr> address_of(const std::string& text) const {
        const auto percent = text.find('%');
        const auto address = parse_ip_without_zone(text.substr(0, percent));
        if (address && percent == std::string::npos) {
            return *address;
        }
        const auto* v6 = address ? std::get_if<Ip6>(&*address) : nullptr;
        if (v6 == nullptr || !v6->is_link_local()) {
            return fail(
                "'" + text +
                "' is not an IPv4 or IPv6 address (a link-local one may name its port: "
                "fe80::1%uplink0)");
        }
        const std::string port = text.substr(percent + 1);
        for (Zone zone = 1; zone < kMaxPorts; ++zone) {
            if (port_name_(PortId{zone}) == port) {
                return IpAddr{with_zone(*v6, zone)};
            }
        }
        return fail("no port is called '" + port + "'");
    }

    static bool is_inside(const IpPrefix& prefix, const std::optional<IpPrefix>& within) {
        if (!within) {
            return true;
        }
        return std::visit(
            []<Family F, Family G>(const Prefix<F>& outer, const Prefix<G>& inner) {
                if constexpr (std::is_same_v<F, G>) {
                    return outer.contains(inner);
                } else {
                    return false;
                }
            },
            *within,
            prefix);
    }

    const RouteTable& routes_;
    PortName port_name_;
};

}  // namespace

void serve_routes(Dispatch& dispatch, const RouteTable& routes, PortName port_name) {
    dispatch.on(
        pb::Request::kShowRoutes,
        [rows = Rows{routes, std::move(port_name)}](const pb::Request& request) -> Answer {
            const auto& show = request.show_routes();
            if (!show.address().empty()) {
                return rows.route_of(show.address());
            }
            const auto within = parse_prefix(show.prefix());
            if (!show.prefix().empty() && !within) {
                return Failure{
                    .code = pb::Error::CODE_INVALID,
                    .text = "'" + show.prefix() + "' is not a prefix"};
            }
            return rows.all(within);
        });
}

}  // namespace vr::ctl
