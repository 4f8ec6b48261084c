// FragmentTable<F>: lets later fragments of a datagram use the ports of its first one.
//
// POLICY 2.4: a fragment without transport header must inherit the first fragment's verdict.  The first
// fragment leaves its ports here; later ones pick them up and are then judged like any packet.  A small
// direct-mapped table of one worker: a collision or an old entry makes the later fragment an orphan,
// which no policy lets pass; nothing is held back.  A later fragment that overtakes the first is an
// orphan too.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "vrouter/dataplane/flow_table.h"

namespace vr {

/// Which datagram a fragment belongs to: RFC 791 3.2, RFC 8200 4.5 (where the protocol does not count:
/// it is 0 here).
template <Family F>
struct FragmentKey {
    typename F::Addr source{};
    typename F::Addr destination{};
    std::uint32_t id = 0;
    std::uint8_t protocol = 0;

    friend bool operator==(const FragmentKey&, const FragmentKey&) = default;
};

/// What later fragments take over from the first one.
struct FragmentPorts {
    L4Port source;
    L4Port destination;
    std::uint16_t headers =
        0;  ///< bytes of the datagram that were read: nothing may overwrite them
    std::uint8_t protocol = 0;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
};

template <Family F>
class FragmentTable {
  public:
    FragmentTable() : slots_(kSlots) {}

    void remember(const FragmentKey<F>& key, FragmentPorts ports, FlowTick now) noexcept {
        slot(key) = {key, ports, now, true};
    }

    /// Null when the first fragment was not seen within the last 30 s.
    [[nodiscard]] const FragmentPorts* find(const FragmentKey<F>& key, FlowTick now) noexcept {
        const Slot& s = slot(key);
        return s.used && s.key == key && now - s.when <= kLifetime ? &s.ports : nullptr;
    }

  private:
    static constexpr std::size_t kSlots = 4096;
    static constexpr FlowTick kLifetime = 30 * 4;

    struct Slot {
        FragmentKey<F> key;
        FragmentPorts ports;
        FlowTick when = 0;
        bool used = false;
    };

    [[nodiscard]] Slot& slot(const FragmentKey<F>& key) noexcept {
        using Hash = std::hash<typename F::Addr>;
        const std::size_t mixed =
            Hash{}(key.source) * 31 + Hash{}(key.destination) * 7 + key.id * 0x9e3779b97f4a7c15U;
        return slots_[(mixed >> 32U) % kSlots];
    }

    std::vector<Slot> slots_;
};

}  // namespace vr
