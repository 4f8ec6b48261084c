// Bit vectors: each field of the packet selects a row of bits, one bit per rule that the field
// satisfies; the first bit set in all rows is the first rule that matches.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/classifier.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "vrouter/dataplane/classifier_engine.h"
#include "vrouter/dataplane/classifier_fields.h"
#include "vrouter/dataplane/family_rules.h"
#include "vrouter/dataplane/rule_rows.h"

namespace vr::acl {
namespace {

/// A packet on its way through the classifier.
struct Asked {
    Query query;
    /// Per side: the set, when it has more groups that rules name than a query holds.
    std::array<const GroupSet*, 2> spilled{};
    Counter* hits = nullptr;
};

/// The rows of some packets, field by field.
struct FieldRows {
    static constexpr unsigned kMostPackets = 32;

    unsigned fields = 0;
    std::array<std::array<RowId, kMostPackets>, Query::kMostFields> rows;
};

template <Family F>
class BitVectors final : public Classifier<F> {
  public:
    BitVectors(const std::shared_ptr<const Program>& program, unsigned workers)
        : Classifier<F>(program, workers),
          rules_(*program),
          rows_(static_cast<std::uint32_t>(rules_.list.size())) {
        protocol_.build(rules_.list, rows_);
        for (unsigned side = 0; side < 2; ++side) {
            const auto match = side == 0 ? &Match::source : &Match::destination;
            ports_[side].build(rules_.list, match, rows_);
            nets_[side].build(rules_.list, match, rows_);
            groups_[side].build(rules_.list, match, rows_);
        }
        rows_.finish();
    }

    void classify(
        const Packet<F>* packets,
        const GroupSet* const* source_groups,
        const GroupSet* const* destination_groups,
        Verdict* verdicts,
        unsigned count,
        Counter* hits) const noexcept override;

    [[nodiscard]] Engine engine() const noexcept override { return Engine::BitVector; }

  private:
    void ask_fields(const Packet<F>* packets, unsigned count, FieldRows& asked) const noexcept;
    void fetch(const FieldRows& fields, unsigned count) const noexcept;
    void judge(
        const Packet<F>* packets,
        const std::array<const GroupSet* const*, 2>& sets,
        Verdict* verdicts,
        unsigned count,
        Counter* hits) const noexcept;
    void ask_groups(unsigned side, const GroupSet& set, Asked& asked) const noexcept;
    void apply_spilled(
        unsigned side, const GroupSet& set, std::uint32_t block, Block& live) const noexcept;
    [[nodiscard]] bool decide(
        std::uint32_t block,
        const Block& live,
        unsigned mask,
        std::uint32_t& from,
        Verdict& verdict,
        Counter* hits) const noexcept;
    [[nodiscard]] bool visit(
        const Asked& asked,
        std::uint32_t block,
        std::uint32_t& from,
        Verdict& verdict) const noexcept;
    [[nodiscard]] Verdict walk(const Asked& asked) const noexcept;

    FamilyRules<F> rules_;
    RowStore rows_;
    Intersect intersect_ = best_intersect();
    ProtocolField<F> protocol_;
    std::array<PortField, 2> ports_;
    std::array<NetField<F>, 2> nets_;
    std::array<GroupField, 2> groups_;
};

template <Family F>
void BitVectors<F>::ask_fields(
    const Packet<F>* packets, unsigned count, FieldRows& asked) const noexcept {
    asked.fields = 0;
    const auto next = [&] { return asked.rows[asked.fields++].data(); };
    const auto ask = [&](const auto& row_of) {
        RowId* rows = next();
        for (unsigned i = 0; i < count; ++i) {
            rows[i] = row_of(packets[i]);
        }
    };
    ask([this](const Packet<F>& packet) { return protocol_.row(packet); });
    if (ports_[0].present()) {
        ask([this](const Packet<F>& p) { return ports_[0].row(p.has_ports, p.source_port); });
    }
    if (ports_[1].present()) {
        ask([this](const Packet<F>& p) { return ports_[1].row(p.has_ports, p.destination_port); });
    }
    if (nets_[0].present()) {
        nets_[0].rows(packets, &Packet<F>::source, next(), count);
    }
    if (nets_[1].present()) {
        nets_[1].rows(packets, &Packet<F>::destination, next(), count);
    }
}

template <Family F>
void BitVectors<F>::ask_groups(unsigned side, const GroupSet& set, Asked& asked) const noexcept {
    const GroupField& field = groups_[side];
    GroupRows& out = asked.query.groups[side];
    out.base = rows_[field.base()];
    out.wanted_count = 0;
    out.unwanted_count = 0;
    asked.spilled[side] = nullptr;
    for (const GroupId id : set.ids()) {
        const auto* effect = field.find(id);
        if (effect == nullptr) {
            continue;
        }
        if (std::max(out.wanted_count, out.unwanted_count) == GroupRows::kMost) {
            out.base = nullptr;
            asked.spilled[side] = &set;
            return;
        }
        if (effect->wanted != GroupField::kNoRow) {
            out.wanted[out.wanted_count++] = rows_[effect->wanted];
        }
        if (effect->unwanted != GroupField::kNoRow) {
            out.unwanted[out.unwanted_count++] = rows_[effect->unwanted];
        }
    }
}

/// Clears from `live` the rules of one block that the groups of `set` do not satisfy.
template <Family F>
void BitVectors<F>::apply_spilled(
    unsigned side, const GroupSet& set, std::uint32_t block, Block& live) const noexcept {
    Block wanted = rows_[groups_[side].base()][block];
    Block unwanted;
    const auto merge = [&](Block& into, RowId row) {
        if (row != GroupField::kNoRow) {
            for (unsigned w = 0; w < 8; ++w) {
                into.words[w] |= rows_[row][block].words[w];
            }
        }
    };
    for (const GroupId id : set.ids()) {
        if (const auto* effect = groups_[side].find(id)) {
            merge(wanted, effect->wanted);
            merge(unwanted, effect->unwanted);
        }
    }
    for (unsigned w = 0; w < 8; ++w) {
        live.words[w] &= wanted.words[w] & ~unwanted.words[w];
    }
}

/// Follows the matching rules of one block, from rule `from` on; true when one of them decides.
template <Family F>
bool BitVectors<F>::decide(
    std::uint32_t block,
    const Block& live,
    unsigned mask,
    std::uint32_t& from,
    Verdict& verdict,
    Counter* hits) const noexcept {
    for (; mask != 0; mask &= mask - 1) {
        const auto w = static_cast<unsigned>(std::countr_zero(mask));
        const std::uint32_t first = block * kBlockRules + w * 64;
        std::uint64_t word = live.words[w];
        while (from < first + 64) {
            word &= from > first ? ~std::uint64_t{0} << (from - first) : ~std::uint64_t{0};
            if (word == 0) {
                break;
            }
            const auto at = first + static_cast<std::uint32_t>(std::countr_zero(word));
            const Step& step = rules_.steps[at];
            if (hits != nullptr) {
                hits[step.original].add(1);
            }
            if (ends(step, verdict)) {
                return true;
            }
            if (step.action == Action::Log) {
                verdict.logged = step.original;
            }
            from = step.action == Action::Log ? at + 1 : step.target;
        }
    }
    return false;
}

/// Judges by the rules of one block; true when one of them decides.
template <Family F>
bool BitVectors<F>::visit(
    const Asked& asked, std::uint32_t block, std::uint32_t& from, Verdict& verdict) const noexcept {
    if (from >= (block + 1) * kBlockRules) {
        return false;
    }
    Block live;
    const unsigned mask = intersect_(asked.query, block, live);
    for (unsigned side = 0; side < 2; ++side) {
        if (asked.spilled[side] != nullptr) [[unlikely]] {
            apply_spilled(side, *asked.spilled[side], block, live);
        }
    }
    return mask != 0 && decide(block, live, mask, from, verdict, asked.hits);
}

template <Family F>
Verdict BitVectors<F>::walk(const Asked& asked) const noexcept {
    Verdict verdict;
    std::uint32_t from = 0;  // rules before this one are behind us
    if (rows_.summaries() == 0) {
        for (std::uint32_t block = 0; block < rows_.blocks(); ++block) {
            if (visit(asked, block, from, verdict)) {
                break;
            }
        }
        return verdict;
    }
    for (std::uint32_t s = 0; s < rows_.summaries(); ++s) {
        Block worth;
        unsigned mask = intersect_(asked.query, -1 - std::ptrdiff_t{s}, worth);
        for (; mask != 0; mask &= mask - 1) {
            const auto w = static_cast<unsigned>(std::countr_zero(mask));
            for (std::uint64_t left = worth.words[w]; left != 0; left &= left - 1) {
                const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
                if (visit(asked, s * kBlockRules + w * 64 + bit, from, verdict)) {
                    return verdict;
                }
            }
        }
    }
    return verdict;
}

/// Brings the summaries of the rows into the cache.
template <Family F>
void BitVectors<F>::fetch(const FieldRows& fields, unsigned count) const noexcept {
    for (unsigned f = 0; f < fields.fields; ++f) {
        for (unsigned i = 0; i < count; ++i) {
            __builtin_prefetch(rows_[fields.rows[f][i]] - 1);
        }
    }
}

/// At most FieldRows::kMostPackets.
template <Family F>
void BitVectors<F>::judge(
    const Packet<F>* packets,
    const std::array<const GroupSet* const*, 2>& sets,
    Verdict* verdicts,
    unsigned count,
    Counter* hits) const noexcept {
    FieldRows fields;
    ask_fields(packets, count, fields);
    if (rows_.summaries() != 0) {  // else they stay in the near caches
        fetch(fields, count);
    }
    Asked asked;
    asked.hits = hits;
    asked.query.count = fields.fields;
    for (unsigned i = 0; i < count; ++i) {
        for (unsigned f = 0; f < fields.fields; ++f) {
            asked.query.rows[f] = rows_[fields.rows[f][i]];
        }
        for (unsigned side = 0; side < 2; ++side) {
            // Neighbours often have the set in common: all packets of a guest have one source.
            const bool same = i > 0 && sets[side][i] == sets[side][i - 1];
            if (groups_[side].present() && !same) {
                ask_groups(side, *sets[side][i], asked);
            }
        }
        verdicts[i] = walk(asked);
        if (hits != nullptr && verdicts[i].rule == Verdict::kFellOff) {
            hits[this->program().rules.size()].add(1);
        }
    }
}

template <Family F>
void BitVectors<F>::classify(
    const Packet<F>* packets,
    const GroupSet* const* source_groups,
    const GroupSet* const* destination_groups,
    Verdict* verdicts,
    unsigned count,
    Counter* hits) const noexcept {
    for (unsigned done = 0; done < count; done += FieldRows::kMostPackets) {
        judge(
            packets + done,
            {source_groups + done, destination_groups + done},
            verdicts + done,
            std::min(count - done, FieldRows::kMostPackets),
            hits);
    }
}

}  // namespace

template <Family F>
std::shared_ptr<const Classifier<F>> Classifier<F>::build(
    std::shared_ptr<const Program> program, unsigned workers) {
    return std::make_shared<const BitVectors<F>>(program, workers);
}

template class Classifier<V4>;
template class Classifier<V6>;

}  // namespace vr::acl
