// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/neighbor.h"

#include <array>
#include <utility>

#include "vrouter/services/frame.h"

namespace vr {

namespace {

/// Resolution that the rate limit keeps from sending gives up after this many timers per solicit.
constexpr unsigned kRoundsPerSolicit = 4;

bool has_mac(NeighborState state) {
    return state != NeighborState::Incomplete && state != NeighborState::Failed;
}

bool is_evictable(NeighborState state) {
    return state == NeighborState::Failed || state == NeighborState::Incomplete ||
           state == NeighborState::Stale;
}

}  // namespace

std::string_view to_string(NeighborState state) {
    constexpr std::array<std::string_view, 7> kNames{
        "failed", "incomplete", "stale", "delay", "probe", "reachable", "permanent"};
    return kNames[static_cast<std::size_t>(state)];
}

template <Family F>
auto Neighbors<F>::resolve(const Key& key, std::optional<Waiting> waiting, TimePoint now)
    -> Actions {
    Actions out;
    auto slot = entries_.find(key);
    if (slot == entries_.end()) {
        const auto inserted = insert(key, now, out);
        if (!inserted) {
            if (waiting) {
                out.push_back(Drop<F>{key, HoldDrop::NoRoom, {waiting->packet}});
            }
            return out;
        }
        slot = *inserted;
        if (waiting) {
            hold(slot, *waiting, out);
        }
        enter(slot, NeighborState::Incomplete, now + settings_.retrans_timer);
        solicit(slot, now, out);
        return out;
    }
    touch(slot, now);
    const NeighborState state = slot->second.state;
    if (state == NeighborState::Stale) {
        enter(slot, NeighborState::Delay, now + settings_.delay_first_probe);
    }
    if (!waiting) {
        return out;
    }
    if (state == NeighborState::Incomplete) {
        hold(slot, *waiting, out);
    } else if (state == NeighborState::Failed) {
        out.push_back(Drop<F>{key, HoldDrop::Unresolved, {waiting->packet}});
    } else {
        out.push_back(Release<F>{key, slot->second.mac, {waiting->packet}});
    }
    return out;
}

template <Family F>
auto Neighbors<F>::hear(const Heard<F>& heard, TimePoint now) -> Actions {
    Actions out;
    if (heard.mac && !is_station(*heard.mac)) {
        return out;
    }
    if (heard.advertised) {
        on_advertisement(heard, now, out);
    } else {
        on_solicitation(heard, now, out);
    }
    return out;
}

template <Family F>
void Neighbors<F>::confirm(const Key& key, TimePoint now) {
    const auto slot = entries_.find(key);
    if (slot != entries_.end() && has_mac(slot->second.state) &&
        slot->second.state != NeighborState::Permanent) {
        enter(slot, NeighborState::Reachable, now + settings_.reachable_time);
    }
}

template <Family F>
auto Neighbors<F>::add_permanent(const Key& key, Mac mac) -> Actions {
    Actions out;
    const auto [slot, added] = entries_.try_emplace(key);
    if (added) {
        // Configuration is bounded by who writes it: no limit applies.
        ++per_port_[key.port];
        index(slot);
    }
    learn(slot, mac, NeighborState::Permanent, slot->second.last_used, out);
    return out;
}

template <Family F>
auto Neighbors<F>::remove(const Key& key) -> Actions {
    Actions out;
    const auto slot = entries_.find(key);
    if (slot != entries_.end()) {
        erase(slot, HoldDrop::Unresolved, out);
    }
    return out;
}

template <Family F>
auto Neighbors<F>::remove_port(PortId port) -> Actions {
    Actions out;
    auto slot = entries_.lower_bound(Key{port, Addr{}});
    while (slot != entries_.end() && slot->first.port == port) {
        erase(slot++, HoldDrop::PortGone, out);
    }
    limiter_.remove_port(port);
    return out;
}

template <Family F>
auto Neighbors<F>::tick(TimePoint now) -> Actions {
    Actions out;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        on_deadline(entries_.find(deadlines_.begin()->second), now, out);
    }
    return out;
}

template <Family F>
std::optional<TimePoint> Neighbors<F>::next_deadline() const {
    return deadlines_.empty() ? std::nullopt : std::optional{deadlines_.begin()->first};
}

template <Family F>
auto Neighbors<F>::view(const std::optional<Key>& last, std::size_t count) const
    -> std::vector<View> {
    std::vector<View> all;
    all.reserve(std::min(count, entries_.size()));
    for (auto at = last ? entries_.upper_bound(*last) : entries_.begin();
         at != entries_.end() && all.size() < count;
         ++at) {
        all.push_back(view_of(at->first, at->second));
    }
    return all;
}

template <Family F>
auto Neighbors<F>::find(const Key& key) const -> std::optional<View> {
    const auto slot = entries_.find(key);
    return slot == entries_.end() ? std::nullopt : std::optional{view_of(key, slot->second)};
}

template <Family F>
auto Neighbors<F>::view_of(const Key& key, const Entry& entry) -> View {
    return {
        .key = key,
        .state = entry.state,
        .mac = has_mac(entry.state) ? std::optional{entry.mac} : std::nullopt,
        .router = entry.router,
        .held = entry.waiting.size()};
}

template <Family F>
auto Neighbors<F>::insert(const Key& key, TimePoint now, Actions& out) -> std::optional<Slot> {
    if (!make_room(key.port, out)) {
        return std::nullopt;
    }
    const auto slot = entries_.try_emplace(key).first;
    slot->second.last_used = now;
    ++per_port_[key.port];
    index(slot);
    return slot;
}

// A port makes room among its own entries only: no port can push out another's neighbors.
template <Family F>
bool Neighbors<F>::make_room(PortId port, Actions& out) {
    const auto count = per_port_.find(port);
    const bool port_full =
        count != per_port_.end() && count->second >= settings_.max_entries_per_port;
    if (!port_full && entries_.size() < settings_.max_entries) {
        return true;
    }
    const auto victim = evictable_.lower_bound({port, NeighborState{}, TimePoint::min(), Addr{}});
    if (victim == evictable_.end() || std::get<PortId>(*victim) != port) {
        return false;
    }
    erase(entries_.find(Key{port, std::get<Addr>(*victim)}), HoldDrop::NoRoom, out);
    return true;
}

template <Family F>
void Neighbors<F>::erase(Slot slot, HoldDrop reason, Actions& out) {
    const Key key = slot->first;
    if (auto packets = take_waiting(slot); !packets.empty()) {
        out.push_back(Drop<F>{key, reason, std::move(packets)});
    }
    if (has_mac(slot->second.state)) {
        out.push_back(Lost<F>{key});
    }
    unindex(slot);
    entries_.erase(slot);
    const auto count = per_port_.find(key.port);
    if (--count->second == 0) {
        per_port_.erase(count);
    }
}

template <Family F>
void Neighbors<F>::enter(Slot slot, NeighborState state, std::optional<TimePoint> deadline) {
    unindex(slot);
    Entry& entry = slot->second;
    if (entry.state != state) {
        entry.solicits = 0;
        entry.rounds = 0;
    }
    entry.state = state;
    entry.deadline = deadline;
    index(slot);
}

template <Family F>
void Neighbors<F>::touch(Slot slot, TimePoint now) {
    unindex(slot);
    slot->second.last_used = now;
    index(slot);
}

template <Family F>
void Neighbors<F>::unindex(Slot slot) {
    const auto& [key, entry] = *slot;
    if (entry.deadline) {
        deadlines_.erase({*entry.deadline, key});
    }
    evictable_.erase({key.port, entry.state, entry.last_used, key.address});
}

template <Family F>
void Neighbors<F>::index(Slot slot) {
    const auto& [key, entry] = *slot;
    if (entry.deadline) {
        deadlines_.insert({*entry.deadline, key});
    }
    if (is_evictable(entry.state)) {
        evictable_.insert({key.port, entry.state, entry.last_used, key.address});
    }
}

/// Puts `mac` into the entry, enters `state` and lets go of what waited for it.
template <Family F>
void Neighbors<F>::learn(Slot slot, Mac mac, NeighborState state, TimePoint now, Actions& out) {
    Entry& entry = slot->second;
    const bool news = !has_mac(entry.state) || entry.mac != mac;
    entry.mac = mac;
    std::optional<TimePoint> deadline;
    if (state == NeighborState::Reachable) {
        deadline = now + settings_.reachable_time;
    } else if (state == NeighborState::Stale) {
        deadline = now + settings_.stale_lifetime;
    }
    enter(slot, state, deadline);
    if (news) {
        out.push_back(Resolved<F>{slot->first, mac});
    }
    if (auto packets = take_waiting(slot); !packets.empty()) {
        out.push_back(Release<F>{slot->first, mac, std::move(packets)});
    }
}

// RFC 4861 7.2.3: its address is known, whether it hears us is not.
template <Family F>
void Neighbors<F>::on_solicitation(const Heard<F>& heard, TimePoint now, Actions& out) {
    if (!heard.mac) {
        return;
    }
    auto slot = entries_.find(heard.key);
    if (slot == entries_.end()) {
        const auto inserted = insert(heard.key, now, out);
        if (!inserted) {
            return;
        }
        slot = *inserted;
    }
    const Entry& entry = slot->second;
    if (entry.state == NeighborState::Permanent ||
        (has_mac(entry.state) && entry.mac == *heard.mac)) {
        return;
    }
    learn(slot, *heard.mac, NeighborState::Stale, now, out);
}

// RFC 4861 7.2.5; Failed is treated as Incomplete is.
template <Family F>
void Neighbors<F>::on_advertisement(const Heard<F>& heard, TimePoint now, Actions& out) {
    const auto slot = entries_.find(heard.key);
    if (slot == entries_.end() || slot->second.state == NeighborState::Permanent) {
        return;
    }
    Entry& entry = slot->second;
    const nd::AdvertisementFlags flags = *heard.advertised;
    if (!has_mac(entry.state)) {
        entry.router = flags.router;
        if (heard.mac) {
            learn(
                slot,
                *heard.mac,
                flags.solicited ? NeighborState::Reachable : NeighborState::Stale,
                now,
                out);
        }
        return;
    }
    const bool differs = heard.mac && *heard.mac != entry.mac;
    if (differs && !flags.override_cached) {
        if (entry.state == NeighborState::Reachable) {
            learn(slot, entry.mac, NeighborState::Stale, now, out);
        }
        return;
    }
    entry.router = flags.router;
    const Mac mac = heard.mac.value_or(entry.mac);
    if (flags.solicited) {
        learn(slot, mac, NeighborState::Reachable, now, out);
    } else if (differs) {
        learn(slot, mac, NeighborState::Stale, now, out);
    }
}

/// Sends one solicitation if the limit allows; known neighbors are asked by unicast, without limit.
template <Family F>
void Neighbors<F>::solicit(Slot slot, TimePoint now, Actions& out) {
    auto& [key, entry] = *slot;
    ++entry.rounds;
    const bool known = entry.state == NeighborState::Probe;
    if (known || limiter_.allow(key.port, now)) {
        ++entry.solicits;
        out.push_back(Solicit<F>{key, known ? std::optional{entry.mac} : std::nullopt});
    }
}

template <Family F>
void Neighbors<F>::on_deadline(Slot slot, TimePoint now, Actions& out) {
    const Entry& entry = slot->second;
    switch (entry.state) {
        case NeighborState::Failed:  // may be asked again
        case NeighborState::Stale:   // not used for long
            erase(slot, HoldDrop::Unresolved, out);
            return;
        case NeighborState::Reachable:
            enter(slot, NeighborState::Stale, now + settings_.stale_lifetime);
            return;
        case NeighborState::Delay:
            enter(slot, NeighborState::Probe, now + settings_.retrans_timer);
            solicit(slot, now, out);
            return;
        case NeighborState::Incomplete:
        case NeighborState::Probe:
            break;
        case NeighborState::Permanent:  // has no deadline
            std::unreachable();
    }
    if (entry.solicits < settings_.max_solicits &&
        entry.rounds < settings_.max_solicits * kRoundsPerSolicit) {
        enter(slot, entry.state, now + settings_.retrans_timer);
        solicit(slot, now, out);
        return;
    }
    if (has_mac(entry.state)) {
        out.push_back(Lost<F>{slot->first});
    }
    enter(slot, NeighborState::Failed, now + settings_.failed_hold);
    if (auto packets = take_waiting(slot); !packets.empty()) {
        out.push_back(Drop<F>{slot->first, HoldDrop::Unresolved, std::move(packets)});
    }
}

// The newest packet replaces the oldest of its own queue: RFC 4861 7.2.2.
template <Family F>
void Neighbors<F>::hold(Slot slot, const Waiting& waiting, Actions& out) {
    Entry& entry = slot->second;
    const auto fits = [&] {
        return entry.waiting.size() < settings_.max_held_per_entry &&
               entry.waiting_bytes + waiting.bytes <= settings_.max_held_bytes_per_entry &&
               held_ < settings_.max_held &&
               held_bytes_ + waiting.bytes <= settings_.max_held_bytes;
    };
    std::vector<HeldPacket> dropped;
    while (!fits() && !entry.waiting.empty() &&
           waiting.bytes <= settings_.max_held_bytes_per_entry) {
        dropped.push_back(pop_oldest(slot));
    }
    if (fits()) {
        entry.waiting.push_back(waiting);
        entry.waiting_bytes += waiting.bytes;
        ++held_;
        held_bytes_ += waiting.bytes;
    } else {
        dropped.push_back(waiting.packet);
    }
    if (!dropped.empty()) {
        out.push_back(Drop<F>{slot->first, HoldDrop::NoRoom, std::move(dropped)});
    }
}

template <Family F>
std::vector<HeldPacket> Neighbors<F>::take_waiting(Slot slot) {
    std::vector<HeldPacket> packets;
    while (!slot->second.waiting.empty()) {
        packets.push_back(pop_oldest(slot));
    }
    return packets;
}

template <Family F>
HeldPacket Neighbors<F>::pop_oldest(Slot slot) {
    Entry& entry = slot->second;
    const Waiting oldest = entry.waiting.front();
    entry.waiting.pop_front();
    entry.waiting_bytes -= oldest.bytes;
    --held_;
    held_bytes_ -= oldest.bytes;
    return oldest.packet;
}

template class Neighbors<V4>;
template class Neighbors<V6>;

}  // namespace vr
