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
#include "vrouter/dataplane/sweeps.h"

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

    void fetch() noexcept { slots_.fetch(); }

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

    /// Gives `member` the set that it must have now.
    void refresh(const Prefix<F>& member);

    /// The groups that name exactly `member`.
    [[nodiscard]] Ids own_of(const Prefix<F>& member) const { return sets.ids(own.find(member)); }

    /// Makes `ids` what own_of() answers.
    void set_own(const Prefix<F>& member, const Ids& ids);

    /// The groups of all members that contain `member`.
    [[nodiscard]] Ids all_of(const Prefix<F>& member) const;

    /// What is inside `member` has other groups now.
    void note_change(const Prefix<F>& member) {
        if (!member.is_host()) {
            changed.start(member);
        }
    }

    SetStore sets;
    Lpm<F> lpm;         ///< member -> index of its set
    PrefixTrie<F> own;  ///< member -> index of the set of groups that name exactly it
    Sweeps<Prefix<F>, Prefix<F>> changed;  ///< nets, by the next member inside to be refreshed
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
Ids GroupTable<F>::State::all_of(const Prefix<F>& member) const {
    Ids ids = own_of(member);
    for (auto around = own.cover(member); around; around = own.cover(around->first)) {
        ids = united(ids, sets.ids(around->second));
    }
    return ids;
}

template <Family F>
void GroupTable<F>::State::refresh(const Prefix<F>& member) {
    const std::uint32_t old = lpm.find(member).value_or(Lpm<F>::kNone);
    const std::uint32_t index = sets.acquire(all_of(member));
    if (index != old) {
        lpm.insert(member, index);
    }
    if (old != Lpm<F>::kNone) {
        sets.release(old);
    }
}

template <Family F>
GroupTable<F>::GroupTable(Reclaimer& reclaimer) : state_(std::make_unique<State>(reclaimer)) {}

template <Family F>
GroupTable<F>::~GroupTable() = default;

template <Family F>
void GroupTable<F>::fetch() noexcept {
    state_->lpm.fetch();
    state_->sets.fetch();
}

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
    state_->refresh(member);
    state_->note_change(member);
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
    } else {
        state_->refresh(member);
    }
    state_->note_change(member);
}

template <Family F>
std::size_t GroupTable<F>::refresh(std::size_t most) {
    using Slice = typename Sweeps<Prefix<F>, Prefix<F>>::Slice;
    std::size_t done = 0;
    const auto refresh_some =
        [&](const Prefix<F>& net, const std::optional<Prefix<F>>& from, std::size_t some) {
            std::vector<Prefix<F>> inside;
            std::optional<Prefix<F>> next;
            state_->own.for_each_within(
                net, from.value_or(net), [&](const Prefix<F>& member, std::uint32_t) {
                    if (inside.size() == some) {
                        next = member;
                        return false;
                    }
                    inside.push_back(member);
                    return true;
                });
            for (const Prefix<F>& member : inside) {
                state_->refresh(member);
            }
            done += std::max<std::size_t>(inside.size(), 1);
            return Slice{.taken = inside.size(), .next = next};
        };
    state_->changed.advance(most, refresh_some);
    return done;
}

template <Family F>
bool GroupTable<F>::is_settled() const noexcept {
    return state_->changed.empty();
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
