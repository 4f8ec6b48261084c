// ServedAddresses: which endpoint of this host gets the packets to which address.
//
// Endpoints say which addresses they want; the routes are set, floating addresses get their translation and
// peers are told.  Of several that want an address the first by name gets it, and nobody loses one of its own
// to somebody's floating one.  Whoever loses an address loses its flows by translation, too; those of a guest
// that is away wait for it, unless another endpoint has the address meanwhile.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "vrouter/machine.h"
#include "vrouter/workload.h"

namespace vr {

class ServedAddresses {
  public:
    /// What an endpoint wants to be sent, and where.
    struct Wanted {
        PortId port;
        std::vector<IpPrefix> own;
        std::vector<FloatingAddress> floating;
        /// As Workload::route_priority, by family.
        std::array<std::optional<std::uint32_t>, 2> priority;
        bool there = true;  ///< false: for now it is sent nothing
    };

    struct Translated {
        FloatingAddress address;
        TranslationId id;
    };

    /// An address that this host serves from now on, with that priority / no longer.  When the priority
    /// changes, it is told again.
    using Announce =
        std::function<void(const IpPrefix& prefix, bool up, std::optional<std::uint32_t> priority)>;

    /// Why nobody may have that address as a workload's; empty: somebody may.
    using Reserved = std::function<std::string(const IpPrefix& prefix)>;

    /// translations() of that endpoint are others than before.
    using Retranslated = std::function<void(const std::string& endpoint)>;

    ServedAddresses(
        Machine& machine, Announce announce, Reserved reserved, Retranslated retranslated);

    /// This and no more is what the endpoint wants from now on.  Its port is another one only after
    /// forget().  The caller commits.
    void want(const std::string& endpoint, Wanted wanted);
    void forget(const std::string& endpoint);

    /// The floating addresses that are its.
    [[nodiscard]] std::vector<Translated> translations(const std::string& endpoint) const;

    /// What it wants and another endpoint has too, or nobody may have, in words.
    [[nodiscard]] std::string problems(const std::string& endpoint) const;

  private:
    struct Endpoint {
        Wanted wanted;
        std::vector<Translated> translations;
    };

    /// An endpoint that has an address.
    struct Server {
        bool floating = false;
        std::string name;

        friend auto operator<=>(const Server&, const Server&) = default;
    };

    /// Those that have one address, and what was said of it.
    struct Servers {
        std::set<Server> names;
        bool announced = false;
        std::optional<std::uint32_t> priority;
    };

    void serve(const Server& server, const IpPrefix& prefix);
    void stop_serving(const Server& server, const IpPrefix& prefix);
    void hand_over(
        const IpPrefix& prefix, const std::optional<Server>& from, const std::optional<Server>& to);
    void announce(const IpPrefix& prefix, Servers& servers);
    [[nodiscard]] TranslationId translate(const std::string& name, const FloatingAddress& address);
    void translate_no_more(const std::string& name, const IpAddr& external);
    [[nodiscard]] std::string reserved_floating(const IpPrefix& prefix) const;

    Machine& machine_;
    Announce announce_;
    Reserved reserved_;
    Retranslated retranslated_;
    std::map<std::string, Endpoint> endpoints_;
    /// One as a rule, two while a workload is replaced by its successor.  The first gets the packets.
    std::map<IpPrefix, Servers> servers_;
    std::uint32_t translations_ = 0;  ///< numbers given out
    /// Who translates a floating address: one endpoint, also while its guest is away.
    std::map<IpAddr, std::string> translators_;
};

}  // namespace vr
