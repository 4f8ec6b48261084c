// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/lpm.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>

#include "vrouter/dataplane/dir24.h"
#include "vrouter/dataplane/host_hash.h"
#include "vrouter/dataplane/nibble_trie.h"
#include "vrouter/dataplane/prefix_trie.h"
#include "vrouter/dataplane/short_prefixes.h"

namespace vr {
namespace {

/// IPv6 for the workers: host routes by hash first, the rest by trie.
class HostsAndNets {
  public:
    explicit HostsAndNets(Reclaimer& reclaimer) : hosts_(reclaimer), nets_(reclaimer) {}

    void fetch() noexcept {
        hosts_.fetch();
        nets_.fetch();
    }

    void set(const Prefix<V6>& prefix, std::uint32_t value, bool added) {
        if (prefix.is_host()) {
            hosts_.set(prefix.address(), value);
        } else {
            nets_.set(prefix, value, added);
        }
    }

    void clear(const Prefix<V6>& prefix, const std::optional<PrefixTrie<V6>::Entry>& cover) {
        if (prefix.is_host()) {
            hosts_.erase(prefix.address());
        } else {
            nets_.clear(prefix, cover);
        }
    }

    [[nodiscard]] std::uint32_t lookup(Ip6 address) const noexcept {
        const std::uint32_t value = hosts_.lookup(address);
        return value != 0 ? value : nets_.lookup(address);
    }

    void lookup_bulk(const Ip6* addresses, std::uint32_t* values, unsigned count) const noexcept {
        static_assert(HostHash::kBulk == NibbleTrie::kBulk);
        for (unsigned done = 0; done < count; done += HostHash::kBulk) {
            const unsigned step = std::min(count - done, HostHash::kBulk);
            lookup_step(addresses + done, values + done, step);
        }
    }

  private:
    void lookup_step(const Ip6* addresses, std::uint32_t* values, unsigned count) const noexcept {
        if (!hosts_.lookup_bulk(addresses, values, count)) {
            nets_.lookup_bulk(addresses, values, kAll.data(), count);
            return;
        }
        std::array<std::uint8_t, NibbleTrie::kBulk> missing;
        unsigned misses = 0;
        for (unsigned i = 0; i < count; ++i) {
            missing[misses] = static_cast<std::uint8_t>(i);
            misses += values[i] == 0 ? 1 : 0;
        }
        if (misses != 0) {
            nets_.lookup_bulk(addresses, values, missing.data(), misses);
        }
    }

    static constexpr auto kAll = [] {
        std::array<std::uint8_t, NibbleTrie::kBulk> all{};
        std::iota(all.begin(), all.end(), std::uint8_t{0});
        return all;
    }();

    HostHash hosts_;
    NibbleTrie nets_;
};

template <Family F>
[[nodiscard]] bool is_short(const Prefix<F>& prefix) noexcept {
    return prefix.length() <= ShortPrefixes<F>::kLongest;
}

template <Family F>
using Engine = std::conditional_t<std::same_as<F, V4>, Dir24, HostsAndNets>;

}  // namespace

template <Family F>
struct Lpm<F>::Tables {
    explicit Tables(Reclaimer& reclaimer) : engine(reclaimer) {}

    PrefixTrie<F> prefixes;
    Engine<F> engine;  ///< all but the shortest; 0 where it has none
    ShortPrefixes<F> shortest;
};

template <Family F>
Lpm<F>::Lpm(Reclaimer& reclaimer) : tables_(std::make_unique<Tables>(reclaimer)) {}

template <Family F>
Lpm<F>::~Lpm() = default;

template <Family F>
void Lpm<F>::fetch() noexcept {
    tables_->engine.fetch();
}

template <Family F>
void Lpm<F>::insert(const Prefix<F>& prefix, std::uint32_t value) {
    assert(value != kNone && value <= kMaxValue);
    const bool added = tables_->prefixes.insert(prefix, value);
    if (is_short(prefix)) {
        tables_->shortest.set(prefix, value);
    } else {
        tables_->engine.set(prefix, value, added);
    }
}

template <Family F>
bool Lpm<F>::erase(const Prefix<F>& prefix) {
    if (!tables_->prefixes.erase(prefix)) {
        return false;
    }
    auto cover = tables_->prefixes.cover(prefix);
    if (is_short(prefix)) {
        tables_->shortest.clear(prefix, cover);
        return true;
    }
    if (cover && is_short(cover->first)) {
        cover.reset();
    }
    tables_->engine.clear(prefix, cover);
    return true;
}

template <Family F>
std::optional<std::uint32_t> Lpm<F>::find(const Prefix<F>& prefix) const {
    const std::uint32_t value = tables_->prefixes.find(prefix);
    return value != kNone ? std::optional(value) : std::nullopt;
}

template <Family F>
std::optional<std::pair<Prefix<F>, std::uint32_t>> Lpm<F>::match(Addr address) const {
    return tables_->prefixes.match(address);
}

template <Family F>
std::optional<std::pair<Prefix<F>, std::uint32_t>> Lpm<F>::cover(const Prefix<F>& prefix) const {
    return tables_->prefixes.cover(prefix);
}

template <Family F>
void Lpm<F>::for_each(const std::function<void(const Prefix<F>&, std::uint32_t)>& visit) const {
    tables_->prefixes.for_each_within(Prefix<F>{}, visit);
}

template <Family F>
void Lpm<F>::for_each_within(
    const Prefix<F>& within,
    const std::function<void(const Prefix<F>&, std::uint32_t)>& visit) const {
    tables_->prefixes.for_each_within(within, visit);
}

template <Family F>
std::size_t Lpm<F>::size() const noexcept {
    return tables_->prefixes.size();
}

template <Family F>
std::uint32_t Lpm<F>::lookup(Addr address) const noexcept {
    const ShortPrefixes<F>& shortest = tables_->shortest;
    for (;;) {
        const std::uint32_t changes = shortest.changes();
        if (const std::uint32_t value = tables_->engine.lookup(address); value != kNone) {
            return value;
        }
        const std::uint32_t covering = shortest.lookup(address);
        if (shortest.changes() == changes) [[likely]] {
            return covering;
        }
    }
}

template <Family F>
void Lpm<F>::lookup_bulk(
    const Addr* addresses, std::uint32_t* values, unsigned count) const noexcept {
    const ShortPrefixes<F>& shortest = tables_->shortest;
    for (;;) {
        const std::uint32_t changes = shortest.changes();
        tables_->engine.lookup_bulk(addresses, values, count);
        static_assert(kNone == 0);
        std::uint32_t least = ~kNone;
        for (unsigned i = 0; i < count; ++i) {
            least = std::min(least, values[i]);
        }
        if (least != kNone) {
            return;
        }
        for (unsigned i = 0; i < count; ++i) {
            const std::uint32_t covering = shortest.lookup(addresses[i]);
            values[i] = values[i] != kNone ? values[i] : covering;
        }
        if (shortest.changes() == changes) [[likely]] {
            return;
        }
    }
}

template <Family F>
void Lpm<F>::prefetch(const Addr* addresses, unsigned count) const noexcept
    requires kPrefetches
{
    tables_->engine.prefetch(addresses, count);
}

template class Lpm<V4>;
template class Lpm<V6>;

}  // namespace vr
