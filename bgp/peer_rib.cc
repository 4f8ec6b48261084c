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

/// RFC 8212: without a word from the operator, eBGP exchanges nothing.
Filter filter_or_default(const std::optional<Filter>& filter, PeerKind kind) {
    return filter.value_or(Filter{
        .kind = kind == PeerKind::External ? Filter::Kind::None : Filter::Kind::All, .rules = {}});
}

/// Our next hop in the family: as configured, or the session's address when it is of the family.
template <Family F>
std::optional<IpAddr> own_next_hop(const FamilyConfig& config, const IpAddr& local) {
    const auto of_family = [](const IpAddr& address) {
        return std::holds_alternative<typename F::Addr>(address);
    };
    if (config.next_hop && of_family(*config.next_hop)) {
        return config.next_hop;
    }
    return of_family(local) ? std::optional{local} : std::nullopt;
}

}  // namespace

template <Family F>
void PeerRib<F>::configure(const Ends& ends, const PeerConfig& config) {
    const FamilyConfig& family = family_of(config, F{});
    ends_ = ends;
    own_next_hop_ = own_next_hop<F>(family, ends.local_address);
    maximum_ = family.maximum_prefixes;
    import_ = filter_or_default(config.import, ends.kind);
    export_ = filter_or_default(config.export_, ends.kind);
    memo_ = {};
}

template <Family F>
void PeerRib<F>::begin(
    const Ends& ends, const AttributeContext& context, const PeerConfig& config) {
    while (in_.size() != 0) {  // what the last session left behind must not mix with the new
        work();
    }
    configure(ends, config);
    context_ = context;
    accepted_ = 0;
    up_ = true;
    walk_ = 0;
    end_of_rib_due_ = true;
    end_of_rib_received_ = false;
}

template <Family F>
void PeerRib<F>::end() {
    up_ = false;
    walk_.reset();
    end_of_rib_due_ = false;
    out_.clear();
    memo_ = {};
}

template <Family F>
void PeerRib<F>::reconfigure(const Ends& ends, const PeerConfig& config) {
    configure(ends, config);
    in_.for_each([this](const Prefix<F>& prefix, const AttributesRef& attributes) {
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
        const AttributesRef attributes = ribs_.pool.intern(reach.attributes);
        const Refusal refusal = admit(*attributes, ends_, own_next_hop_);
        for (const Prefix<F>& prefix : reach.announced) {
            if (in_.set(prefix, attributes)) {
                accept(prefix, attributes, refusal);
            }
        }
    }
    end_of_rib_received_ = end_of_rib_received_ || reach.end_of_rib;
    return maximum_ == 0 || in_.size() <= maximum_;
}

template <Family F>
void PeerRib<F>::accept(const Prefix<F>& prefix, const AttributesRef& attributes, Refusal refusal) {
    LocRib<F>& loc = ribs_.of<F>();
    if (refusal == Refusal::None && import_.passes(prefix, source_.kind)) {
        if (loc.set(prefix, &source_, attributes)) {
            ++accepted_;
        }
    } else if (loc.remove(prefix, &source_)) {
        --accepted_;
    }
}

template <Family F>
AttributesRef PeerRib<F>::exported(const AttributesRef& best, PeerKind source) {
    if (memo_.best != best || memo_.source != source) {
        const auto told = advertise(*best, source, ends_, own_next_hop_);
        memo_ = Memo{
            .best = best,
            .source = source,
            .told = told ? ribs_.pool.intern(*told) : AttributesRef{}};
    }
    return memo_.told;
}

template <Family F>
void PeerRib<F>::route_changed(const typename LocRib<F>::Route& route) {
    if (!up_) {
        return;
    }
    const PathSource* source = route.best_source;
    AttributesRef told;
    // A peer does not hear its own route back.
    if (source != nullptr && source != &source_ && export_.passes(route.prefix, source->kind)) {
        told = exported(route.best_attributes, source->kind);
    }
    if (told) {
        out_.want(route.prefix, told);
    } else {
        out_.want_nothing(route.prefix);
    }
}

template <Family F>
bool PeerRib<F>::work() {
    LocRib<F>& loc = ribs_.of<F>();
    if (!up_) {
        in_.drain(kSlice, [&](const Prefix<F>& prefix) {
            static_cast<void>(loc.remove(prefix, &source_));
        });
        return in_.size() != 0;
    }
    if (walk_) {
        const std::size_t to = std::min(*walk_ + kSlice, loc.end());
        for (; *walk_ < to; ++*walk_) {
            if (const auto* route = loc.at(*walk_)) {
                route_changed(*route);
            }
        }
        if (*walk_ >= loc.end()) {
            walk_.reset();
        }
    }
    return walk_.has_value();
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
    if (end_of_rib_due_ && !walk_ && !out_.pending()) {
        encode_end_of_rib<F>(out);
        end_of_rib_due_ = false;
        ++messages;
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
        .received = up_ ? in_.size() : 0,
        .accepted = up_ ? accepted_ : 0,
        .advertised = out_.advertised(),
        .end_of_rib_received = up_ && end_of_rib_received_};
}

template <Family F>
std::vector<PeerRouteSummary> PeerRib<F>::received_routes() const {
    std::vector<PeerRouteSummary> routes;
    routes.reserve(in_.size());
    in_.for_each([&](const Prefix<F>& prefix, const AttributesRef& attributes) {
        PeerRouteSummary route{.prefix = prefix, .attributes = *attributes, .refused = {}};
        const Refusal refusal = admit(*attributes, ends_, own_next_hop_);
        if (refusal != Refusal::None) {
            route.refused = to_string(refusal);
        } else if (!import_.passes(prefix, source_.kind)) {
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
        routes.push_back(
            PeerRouteSummary{.prefix = prefix, .attributes = *attributes, .refused = {}});
    });
    std::ranges::sort(routes, {}, &PeerRouteSummary::prefix);
    return routes;
}

template class PeerRib<V4>;
template class PeerRib<V6>;

}  // namespace vr::bgp
