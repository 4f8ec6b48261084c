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

namespace vr {
namespace {

/// IPv6 for the workers: host routes by hash first, the rest by trie.
class HostsAndNets {
  public:
    explicit HostsAndNets(Reclaimer& reclaimer) : hosts_(reclaimer), nets_(reclaimer) {}

    void set(
        const PrefixTrie<V6>& /*all*/, const Prefix<V6>& prefix, std::uint32_t value, bool added) {
        if (prefix.is_host()) {
            hosts_.set(prefix.address(), value);
        } else {
            nets_.set(prefix, value, added);
        }
    }

    void clear(const PrefixTrie<V6>& all, const Prefix<V6>& prefix) {
        if (prefix.is_host()) {
            hosts_.erase(prefix.address());
        } else {
            nets_.clear(prefix, all.cover(prefix));
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
using Engine = std::conditional_t<std::same_as<F, V4>, Dir24, HostsAndNets>;

}  // namespace

template <Family F>
struct Lpm<F>::Tables {
    explicit Tables(Reclaimer& reclaimer) : engine(reclaimer) {}

    PrefixTrie<F> prefixes;
    Engine<F> engine;
};

template <Family F>
Lpm<F>::Lpm(Reclaimer& reclaimer) : tables_(std::make_unique<Tables>(reclaimer)) {}

template <Family F>
Lpm<F>::~Lpm() = default;

template <Family F>
void Lpm<F>::fetch() const noexcept
    requires std::same_as<F, V4>
{
    tables_->engine.fetch();
}

template <Family F>
void Lpm<F>::insert(const Prefix<F>& prefix, std::uint32_t value) {
    assert(value != kNone && value <= kMaxValue);
    const bool added = tables_->prefixes.insert(prefix, value);
    tables_->engine.set(tables_->prefixes, prefix, value, added);
}

template <Family F>
bool Lpm<F>::erase(const Prefix<F>& prefix) {
    if (!tables_->prefixes.erase(prefix)) {
        return false;
    }
    tables_->engine.clear(tables_->prefixes, prefix);
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
    return tables_->engine.lookup(address);
}

template <Family F>
void Lpm<F>::lookup_bulk(
    const Addr* addresses, std::uint32_t* values, unsigned count) const noexcept {
    tables_->engine.lookup_bulk(addresses, values, count);
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
