// SPDX-License-Identifier: Apache-2.0
#include "vrouter/served_addresses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "vrouter/net/log.h"

namespace vr {

ServedAddresses::ServedAddresses(
    Machine& machine, Announce announce, Reserved reserved, Retranslated retranslated)
    : machine_(machine),
      announce_(std::move(announce)),
      reserved_(std::move(reserved)),
      retranslated_(std::move(retranslated)) {}

void ServedAddresses::want(const std::string& name, Wanted wanted) {
    Wanted& known = endpoints_[name].wanted;
    known.there = wanted.there;
    for (const IpPrefix& prefix : known.own) {
        if (!wanted.there || std::ranges::count(wanted.own, prefix) == 0) {
            stop_serving({false, name}, prefix);
        }
    }
    for (const FloatingAddress& one : known.floating) {
        const bool kept = std::ranges::count(wanted.floating, one) != 0;
        if (!wanted.there || !kept) {
            stop_serving({true, name}, host_prefix(one.external));
        }
        if (!kept) {
            translate_no_more(name, one.external);
        }
    }
    known = std::move(wanted);
    if (!known.there) {
        return;
    }
    for (const IpPrefix& prefix : known.own) {
        serve({false, name}, prefix);
    }
    for (const FloatingAddress& one : known.floating) {
        serve({true, name}, host_prefix(one.external));
    }
}

void ServedAddresses::forget(const std::string& name) {
    if (const auto known = endpoints_.find(name); known != endpoints_.end()) {
        want(name, {.port = known->second.wanted.port, .there = known->second.wanted.there});
        endpoints_.erase(name);
    }
}

/// Why a floating address is not served, if so: its endpoint is none the worse for it.
std::string ServedAddresses::reserved_floating(const IpPrefix& prefix) const {
    return reserved_ ? reserved_(prefix) : std::string();
}

void ServedAddresses::serve(const Server& server, const IpPrefix& prefix) {
    if (server.floating && !reserved_floating(prefix).empty()) {
        log::warning("endpoint {}: {}", server.name, reserved_floating(prefix));
        return;
    }
    Servers& servers = servers_[prefix];
    if (!servers.names.empty() && !servers.names.contains(server)) {
        log::warning(
            "endpoint {}: {} is an address of {} too; the first by name gets its packets",
            server.name,
            prefix,
            servers.names.begin()->name);
    }
    const auto before =
        servers.names.empty() ? std::nullopt : std::optional{*servers.names.begin()};
    if (servers.names.insert(server).second) {
        hand_over(prefix, before, *servers.names.begin());
    }
    announce(prefix, servers);
}

void ServedAddresses::stop_serving(const Server& server, const IpPrefix& prefix) {
    const auto found = servers_.find(prefix);
    if (found == servers_.end() || !found->second.names.contains(server)) {
        return;
    }
    const Server before = *found->second.names.begin();
    found->second.names.erase(server);
    if (!found->second.names.empty()) {
        hand_over(prefix, before, *found->second.names.begin());
        announce(prefix, found->second);
        return;
    }
    servers_.erase(found);
    hand_over(prefix, before, std::nullopt);
    announce_(prefix, false, std::nullopt);
}

/// Packets to an address get another endpoint's, or nobody's.  While its guest is away and nobody else has the
/// address, the flows of a floating one wait for it, as those of its own addresses do.
void ServedAddresses::hand_over(
    const IpPrefix& prefix, const std::optional<Server>& from, const std::optional<Server>& to) {
    const IpAddr address = std::visit([](const auto& p) { return IpAddr{p.address()}; }, prefix);
    if (!to) {
        if (from && from->floating && endpoints_.at(from->name).wanted.there) {
            translate_no_more(from->name, address);
        }
        machine_.routes().remove(prefix, RouteSource::Workload);
        return;
    }
    if (const auto known = translators_.find(address);
        known != translators_.end() && (!to->floating || known->second != to->name)) {
        translate_no_more(std::string(known->second), address);
    }
    const Wanted& wanted = endpoints_.at(to->name).wanted;
    if (!to->floating) {
        machine_.routes().set(prefix, RouteSource::Workload, Adjacency{wanted.port, address});
        return;
    }
    const auto floating = std::ranges::find(wanted.floating, address, &FloatingAddress::external);
    assert(floating != wanted.floating.end());  // it leaves servers_ before it leaves `wanted`
    machine_.routes().set(
        prefix,
        RouteSource::Workload,
        Floating{{wanted.port, floating->internal}, translate(to->name, *floating)});
}

/// The number under which packets to a floating address are translated.
TranslationId ServedAddresses::translate(const std::string& name, const FloatingAddress& address) {
    auto& translations = endpoints_.at(name).translations;
    const auto known = std::ranges::find(translations, address, &Translated::address);
    if (known != translations.end()) {
        return known->id;
    }
    const TranslationId id{++translations_};
    translations.push_back({address, id});
    translators_[address.external] = name;
    retranslated_(name);
    return id;
}

/// Ends the flows of a floating address, too.
void ServedAddresses::translate_no_more(const std::string& name, const IpAddr& external) {
    auto& translations = endpoints_.at(name).translations;
    const auto gone = std::ranges::find(
        translations, external, [](const Translated& one) { return one.address.external; });
    if (gone != translations.end()) {
        machine_.forget_translation(gone->id);
        translations.erase(gone);
        translators_.erase(external);
        retranslated_(name);
    }
}

/// Says what is new: with the priority of the first that has the address.
void ServedAddresses::announce(const IpPrefix& prefix, Servers& servers) {
    const auto priority =
        endpoints_.at(servers.names.begin()->name).wanted.priority[prefix.index()];
    const bool otherwise = std::exchange(servers.priority, priority) != priority;
    if (!std::exchange(servers.announced, true) || otherwise) {
        announce_(prefix, true, priority);
    }
}

std::vector<ServedAddresses::Translated> ServedAddresses::translations(
    const std::string& name) const {
    const auto known = endpoints_.find(name);
    return known == endpoints_.end() ? std::vector<Translated>{} : known->second.translations;
}

std::string ServedAddresses::problems(const std::string& name) const {
    std::string text;
    const auto known = endpoints_.find(name);
    if (known == endpoints_.end()) {
        return text;
    }
    const auto add = [&](const std::string& problem) {
        text += (text.empty() ? "" : "; ") + problem;
    };
    const auto tell_others = [&](bool floating, const IpPrefix& prefix) {
        const auto found = servers_.find(prefix);
        if (found == servers_.end() || found->second.names.size() < 2) {
            return;
        }
        const Server& first = *found->second.names.begin();
        const bool is_first = first == Server{floating, name};
        add(fmt::format(
            "{} is an address of {} too{}",
            prefix,
            is_first ? std::next(found->second.names.begin())->name : first.name,
            is_first ? "" : ", which gets its packets"));
    };
    for (const IpPrefix& prefix : known->second.wanted.own) {
        tell_others(false, prefix);
    }
    for (const FloatingAddress& one : known->second.wanted.floating) {
        const IpPrefix prefix = host_prefix(one.external);
        if (const std::string reason = reserved_floating(prefix); !reason.empty()) {
            add("ipNATs: " + reason);
        }
        tell_others(true, prefix);
    }
    return text;
}

}  // namespace vr
