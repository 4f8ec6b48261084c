// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/groups.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <iterator>
#include <map>
#include <utility>

#include "vrouter/dataplane/lpm.h"
#include "vrouter/dataplane/prefix_trie.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr {
namespace {

using Ids = std::vector<GroupId>;

constexpr std::uint32_t kMaxSets = std::uint32_t{1} << 24U;

/// Each distinct set once, under an index that workers resolve without locks.
class SetStore {
  public:
    static constexpr std::uint32_t kEmpty = 0;

    explicit SetStore(Reclaimer& reclaimer) : slots_(reclaimer, kMaxSets) {
        [[maybe_unused]] const std::uint32_t none = slots_.take();
        assert(none == kEmpty);
        slots_[kEmpty].store(&empty_, std::memory_order_release);
    }

    ~SetStore() {
        for (const auto& [ids, entry] : known_) {
            delete slots_[entry.index].load(std::memory_order_relaxed);
        }
    }

    SetStore(const SetStore&) = delete;
    SetStore& operator=(const SetStore&) = delete;
    SetStore(SetStore&&) = delete;
    SetStore& operator=(SetStore&&) = delete;

    /// The index of `ids`, which gains a user.  `ids` is not empty.
    [[nodiscard]] std::uint32_t acquire(const Ids& ids) {
        const auto [at, added] = known_.try_emplace(ids);
        if (added) {
            at->second.index = slots_.take();
            slots_[at->second.index].store(new GroupSet(ids), std::memory_order_release);
        }
        ++at->second.users;
        return at->second.index;
    }

    void release(std::uint32_t index) {
        const auto at = known_.find(ids(index));
        assert(at != known_.end());
        if (--at->second.users == 0) {
            known_.erase(at);
            slots_.retire(index, [](Slot& slot) { delete slot.load(std::memory_order_relaxed); });
        }
    }

    [[nodiscard]] const GroupSet* operator[](std::uint32_t index) const noexcept {
        return slots_[index].load(std::memory_order_acquire);
    }

    [[nodiscard]] Ids ids(std::uint32_t index) const {
        const auto span = (*this)[index]->ids();
        return {span.begin(), span.end()};
    }

  private:
    using Slot = std::atomic<const GroupSet*>;

    struct Entry {
        std::uint32_t index = 0;
        std::size_t users = 0;
    };

    GroupSet empty_{{}};
    SlotPool<Slot> slots_;
    std::map<Ids, Entry> known_;
};

[[nodiscard]] Ids united(const Ids& a, const Ids& b) {
    Ids all;
    all.reserve(a.size() + b.size());
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
    return all;
}

}  // namespace

bool GroupSet::contains(GroupId id) const noexcept {
    return std::binary_search(ids_.begin(), ids_.end(), id);
}

template <Family F>
struct GroupTable<F>::State {
    explicit State(Reclaimer& reclaimer) : sets(reclaimer), lpm(reclaimer) {}

    /// Gives `member` and every member inside it the set it must have now.
    void refresh(const Prefix<F>& member);

    /// The groups that name exactly `member`.
    [[nodiscard]] Ids own_of(const Prefix<F>& member) const { return sets.ids(own.find(member)); }

    /// Makes `ids` what own_of() answers.
    void set_own(const Prefix<F>& member, const Ids& ids);

    /// Makes `ids` the set of `member`, a member that has own groups.
    void assign(const Prefix<F>& member, std::uint32_t old, const Ids& ids);

    [[nodiscard]] Ids inherited(const Prefix<F>& member) const {
        const auto cover = lpm.cover(member);
        return cover ? sets.ids(cover->second) : Ids{};
    }

    SetStore sets;
    Lpm<F> lpm;         ///< member -> index of its set
    PrefixTrie<F> own;  ///< member -> index of the set of groups that name exactly it
    std::size_t size = 0;
};

template <Family F>
void GroupTable<F>::State::set_own(const Prefix<F>& member, const Ids& ids) {
    const std::uint32_t old = own.find(member);
    if (ids.empty()) {
        own.erase(member);
    } else {
        own.insert(member, sets.acquire(ids));
    }
    if (old != SetStore::kEmpty) {
        sets.release(old);
    }
}

template <Family F>
void GroupTable<F>::State::assign(const Prefix<F>& member, std::uint32_t old, const Ids& ids) {
    const std::uint32_t index = sets.acquire(ids);
    if (index != old) {
        lpm.insert(member, index);
    }
    if (old != Lpm<F>::kNone) {
        sets.release(old);
    }
}

template <Family F>
void GroupTable<F>::State::refresh(const Prefix<F>& member) {
    std::vector<std::pair<Prefix<F>, std::uint32_t>> inside;
    lpm.for_each_within(member, [&](const Prefix<F>& prefix, std::uint32_t index) {
        inside.emplace_back(prefix, index);
    });
    // Covering members come first: the stack holds the chain of those around the current one.
    std::vector<std::pair<Prefix<F>, Ids>> around;
    const Ids outer = inherited(member);
    for (const auto& [prefix, index] : inside) {
        while (!around.empty() && !around.back().first.contains(prefix)) {
            around.pop_back();
        }
        Ids ids = united(around.empty() ? outer : around.back().second, own_of(prefix));
        assign(prefix, index, ids);
        around.emplace_back(prefix, std::move(ids));
    }
}

template <Family F>
GroupTable<F>::GroupTable(Reclaimer& reclaimer) : state_(std::make_unique<State>(reclaimer)) {}

template <Family F>
GroupTable<F>::~GroupTable() = default;

template <Family F>
void GroupTable<F>::add(GroupId group, const Prefix<F>& member) {
    Ids own = state_->own_of(member);
    const auto at = std::lower_bound(own.begin(), own.end(), group);
    if (at != own.end() && *at == group) {
        return;
    }
    own.insert(at, group);
    ++state_->size;
    state_->set_own(member, own);
    if (own.size() == 1) {
        state_->assign(member, Lpm<F>::kNone, united(state_->inherited(member), own));
    }
    state_->refresh(member);
}

template <Family F>
void GroupTable<F>::remove(GroupId group, const Prefix<F>& member) {
    Ids own = state_->own_of(member);
    const auto at = std::lower_bound(own.begin(), own.end(), group);
    if (at == own.end() || *at != group) {
        return;
    }
    own.erase(at);
    --state_->size;
    state_->set_own(member, own);
    if (own.empty()) {
        const auto index = state_->lpm.find(member);
        assert(index);
        state_->lpm.erase(member);
        state_->sets.release(*index);
    }
    state_->refresh(member);
}

template <Family F>
const GroupSet* GroupTable<F>::lookup(Addr address) const noexcept {
    return state_->sets[state_->lpm.lookup(address)];
}

template <Family F>
void GroupTable<F>::lookup_bulk(
    const Addr* addresses, const GroupSet** sets, unsigned count) const noexcept {
    constexpr unsigned kStep = 64;
    std::array<std::uint32_t, kStep> indices;
    for (unsigned done = 0; done < count; done += kStep) {
        const unsigned step = std::min(count - done, kStep);
        state_->lpm.lookup_bulk(addresses + done, indices.data(), step);
        for (unsigned i = 0; i < step; ++i) {
            sets[done + i] = state_->sets[indices[i]];
        }
    }
}

template <Family F>
std::size_t GroupTable<F>::size() const noexcept {
    return state_->size;
}

template class GroupTable<V4>;
template class GroupTable<V6>;

}  // namespace vr
