// SPDX-License-Identifier: Apache-2.0
#include "bgp/peer_rib.h"

#include <algorithm>

namespace vr::bgp {
namespace {

/// Routes per slice of work: about a millisecond.
constexpr std::size_t kSlice = 2000;
/// Prefixes packed at a time, so that the room asked for is exceeded by little.
constexpr std::size_t kPackAtOnce = 512;

const FamilyConfig& family_of(const PeerConfig& config, V4 /*family*/) {
    return config.ipv4;
}

const FamilyConfig& family_of(const PeerConfig& config, V6 /*family*/) {
    return config.ipv6;
}

/// Our next hop in the family: as configured, or the session's address when it is of the family.  For
/// IPv4 that of IPv6 will do where both sides know RFC 8950.
template <Family F>
std::optional<IpAddr> own_next_hop(const PeerConfig& config, const Ends& ends) {
    const auto of_family = [](const std::optional<IpAddr>& address) {
        return address && std::holds_alternative<typename F::Addr>(*address);
    };
    if (const auto& configured = family_of(config, F{}).next_hop; of_family(configured)) {
        return configured;
    }
    if (of_family(ends.local_address)) {
        return ends.local_address;
    }
    return std::is_same_v<F, V4> && ends.ipv4_over_ipv6 ? own_next_hop<V6>(config, ends)
                                                        : std::nullopt;
}

/// RFC 8950 3: only whom we know to understand it is told an IPv6 next hop for IPv4.
template <Family F>
bool understands(const Ends& ends, const Attributes& told) {
    return std::is_same_v<F, V6> || ends.ipv4_over_ipv6 ||
           std::holds_alternative<Ip4>(told.next_hop);
}

}  // namespace

template <Family F>
void PeerRib<F>::configure(const Ends& ends, const PeerConfig& config) {
    const FamilyConfig& family = family_of(config, F{});
    ends_ = ends;
    own_next_hop_ = own_next_hop<F>(config, ends);
    maximum_ = family.maximum_prefixes;
    import_ = filter_in_force(config.import, ends.kind);
    export_ = filter_in_force(config.export_, ends.kind);
    imported_ = {};
    exported_ = {};
}

template <Family F>
void PeerRib<F>::begin(
    const Ends& ends, const AttributeContext& context, const PeerConfig& config, Old old) {
    if (old == Old::Drop) {
        in_.drop_all();
    }
    configure(ends, config);
    context_ = context;
    up_ = true;
    walk_ = 0;
    end_of_rib_due_ = true;
    end_of_rib_received_ = false;
}

template <Family F>
void PeerRib<F>::end(Old old) {
    in_.drop_stale();
    if (old == Old::Keep) {
        in_.age();
    } else {
        in_.drop_all();
    }
    up_ = false;
    walk_.reset();
    end_of_rib_due_ = false;
    end_of_rib_received_ = false;
    refreshing_in_ = false;
    refresh_ = {};
    out_.clear();
    imported_ = {};
    exported_ = {};
}

template <Family F>
void PeerRib<F>::begin_refresh() {
    in_.age();
    refreshing_in_ = true;
}

template <Family F>
void PeerRib<F>::end_refresh() {
    if (std::exchange(refreshing_in_, false)) {
        in_.drop_stale();
    }
}

template <Family F>
void PeerRib<F>::refresh(bool with_markers) {
    refresh_.wanted = true;
    refresh_.markers = with_markers;
}

/// Begins the answer to a refresh when nothing else is being told: a storm of requests costs one walk
/// at a time.
template <Family F>
void PeerRib<F>::begin_answer(std::vector<std::uint8_t>& out) {
    refresh_.wanted = false;
    refresh_.walking = true;
    refresh_.end_due = refresh_.markers;
    walk_ = 0;
    if (refresh_.markers) {
        encode_route_refresh(kFamily, refresh_marker::kBegin, out);
    }
}

template <Family F>
void PeerRib<F>::reconfigure(const Ends& ends, const PeerConfig& config) {
    configure(ends, config);
    in_.for_each([this](const Prefix<F>& prefix, const AttributesRef& attributes, bool) {
        accept(prefix, attributes, admit(*attributes, ends_, own_next_hop_));
    });
    walk_ = 0;
}

template <Family F>
bool PeerRib<F>::receive(const Reach<F>& reach) {
    for (const Prefix<F>& prefix : reach.withdrawn) {
        if (in_.erase(prefix) && ribs_.of<F>().remove(prefix, &source_)) {
            --accepted_;
        }
    }
    if (!reach.announced.empty()) {
        Attributes received = reach.attributes;
        place_next_hop(received, ends_);
        const AttributesRef attributes = ribs_.pool.intern(std::move(received));
        const Refusal refusal = admit(*attributes, ends_, own_next_hop_);
        for (const Prefix<F>& prefix : reach.announced) {
            if (in_.set(prefix, attributes)) {
                accept(prefix, attributes, refusal);
            }
        }
    }
    if (reach.end_of_rib && !std::exchange(end_of_rib_received_, true) && !refreshing_in_) {
        in_.drop_stale();
    }
    return maximum_ == 0 || in_.fresh() <= maximum_;
}

template <Family F>
Filter::Verdict PeerRib<F>::judge(
    const Filter& filter,
    const Prefix<F>& prefix,
    const Attributes& attributes,
    PeerKind source) const {
    std::string interface;
    if (filter.wants_interface()) {
        interface = ribs_.oracle.interface_to(
            source == PeerKind::Local ? IpAddr{prefix.address()} : forwarding_next_hop(attributes));
    }
    return filter.judge(
        prefix,
        RouteFacts{
            .attributes = attributes,
            .source = source,
            .peer = ends_.kind,
            .interface = interface});
}

template <Family F>
void PeerRib<F>::accept(const Prefix<F>& prefix, const AttributesRef& attributes, Refusal refusal) {
    LocRib<F>& loc = ribs_.of<F>();
    const Filter::Verdict verdict = refusal == Refusal::None
                                        ? judge(import_, prefix, *attributes, source_.kind)
                                        : Filter::Verdict{};
    if (verdict.accepted) {
        if (loc.set(prefix, &source_, imported(attributes, verdict.operations))) {
            ++accepted_;
        }
    } else if (loc.remove(prefix, &source_)) {
        --accepted_;
    }
}

template <Family F>
AttributesRef PeerRib<F>::imported(const AttributesRef& received, const Operations* operations) {
    if (operations == nullptr) {
        return received;
    }
    if (imported_.from != received || imported_.operations != operations) {
        Attributes changed = *received;
        apply(*operations, changed);
        imported_ = Memo{
            .from = received,
            .source = source_.kind,
            .operations = operations,
            .to = ribs_.pool.intern(std::move(changed))};
    }
    return imported_.to;
}

template <Family F>
AttributesRef PeerRib<F>::exported(
    const AttributesRef& best, PeerKind source, const Operations* operations) {
    if (exported_.from != best || exported_.source != source ||
        exported_.operations != operations) {
        auto told = advertise(*best, source, ends_, own_next_hop_, operations);
        if (told && !understands<F>(ends_, *told)) {
            told.reset();
        }
        exported_ = Memo{
            .from = best,
            .source = source,
            .operations = operations,
            .to = told ? ribs_.pool.intern(*std::move(told)) : AttributesRef{}};
    }
    return exported_.to;
}

template <Family F>
void PeerRib<F>::route_changed(const typename LocRib<F>::Route& route) {
    if (!up_) {
        return;
    }
    const PathSource* source = route.best_source;
    AttributesRef told;
    // A peer does not hear its own route back.
    if (source != nullptr && source != &source_) {
        const Filter::Verdict verdict =
            judge(export_, route.prefix, *route.best_attributes, source->kind);
        if (verdict.accepted) {
            told = exported(route.best_attributes, source->kind, verdict.operations);
        }
    }
    if (told) {
        out_.want(route.prefix, told, refresh_.walking);
    } else {
        out_.want_nothing(route.prefix);
    }
}

template <Family F>
bool PeerRib<F>::work() {
    LocRib<F>& loc = ribs_.of<F>();
    in_.drain(kSlice, [&](const Prefix<F>& prefix) {
        if (loc.remove(prefix, &source_)) {
            --accepted_;
        }
    });
    if (walk_) {
        const std::size_t to = std::min(*walk_ + kSlice, loc.end());
        for (; *walk_ < to; ++*walk_) {
            if (const auto* route = loc.at(*walk_)) {
                route_changed(*route);
            }
        }
        if (*walk_ >= loc.end()) {
            walk_.reset();
            refresh_.walking = false;
        }
    }
    return busy();
}

template <Family F>
unsigned PeerRib<F>::pack(std::size_t room, std::vector<std::uint8_t>& out) {
    unsigned messages = 0;
    if (!up_) {
        return messages;
    }
    while (out_.pending() && out.size() < room) {
        messages += out_.pack(kPackAtOnce, context_, out);
    }
    if (walk_ || out_.pending()) {
        return messages;
    }
    if (end_of_rib_due_ && !ribs_.selection_deferred) {
        encode_end_of_rib<F>(out);
        end_of_rib_due_ = false;
        ++messages;
    }
    if (std::exchange(refresh_.end_due, false)) {
        encode_route_refresh(kFamily, refresh_marker::kEnd, out);
    }
    if (refresh_.wanted && !end_of_rib_due_) {
        begin_answer(out);
    }
    return messages;
}

template <Family F>
bool PeerRib<F>::has_output() const noexcept {
    return up_ && (out_.pending() || (end_of_rib_due_ && !walk_));
}

template <Family F>
FamilySummary PeerRib<F>::summary() const {
    return FamilySummary{
        .negotiated = up_,
        .received = in_.size(),
        .accepted = in_.size() == 0 ? 0 : accepted_,
        .stale = in_.stale(),
        .advertised = out_.advertised(),
        .end_of_rib_received = up_ && end_of_rib_received_};
}

template <Family F>
std::vector<PeerRouteSummary> PeerRib<F>::received_routes() const {
    std::vector<PeerRouteSummary> routes;
    routes.reserve(in_.size());
    in_.for_each([&](const Prefix<F>& prefix, const AttributesRef& attributes, bool stale) {
        PeerRouteSummary route{
            .prefix = prefix, .attributes = *attributes, .refused = {}, .stale = stale};
        const Refusal refusal = admit(*attributes, ends_, own_next_hop_);
        if (refusal != Refusal::None) {
            route.refused = to_string(refusal);
        } else if (!judge(import_, prefix, *attributes, source_.kind).accepted) {
            route.refused = "import filter";
        }
        routes.push_back(std::move(route));
    });
    std::ranges::sort(routes, {}, &PeerRouteSummary::prefix);
    return routes;
}

template <Family F>
std::vector<PeerRouteSummary> PeerRib<F>::advertised_routes() const {
    std::vector<PeerRouteSummary> routes;
    routes.reserve(out_.advertised());
    out_.for_each([&](const Prefix<F>& prefix, const AttributesRef& attributes) {
        routes.push_back(PeerRouteSummary{
            .prefix = prefix, .attributes = *attributes, .refused = {}, .stale = false});
    });
    std::ranges::sort(routes, {}, &PeerRouteSummary::prefix);
    return routes;
}

template class PeerRib<V4>;
template class PeerRib<V6>;

}  // namespace vr::bgp
