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
#include "vrouter/dataplane/rule_rows.h"

namespace vr::acl {
namespace {

/// What happens at a rule, by its position in the family's list.
struct Step {
    Action action;
    std::uint32_t target;    ///< Jump: position to go on at
    std::uint32_t original;  ///< index in Program::rules
};

/// A packet on its way through the classifier.
struct Asked {
    Query query;
    /// Per side: the set, when it has more groups that rules name than a query holds.
    std::array<const GroupSet*, 2> spilled{};
};

}  // namespace

template <Family F>
struct Classifier<F>::Tables {
    explicit Tables(std::shared_ptr<const Program> p)
        : program(std::move(p)), list(select()), rows(static_cast<std::uint32_t>(list.size())) {
        protocol.build(list, rows);
        for (unsigned side = 0; side < 2; ++side) {
            const auto match = side == 0 ? &Match::source : &Match::destination;
            ports[side].build(list, match, rows);
            nets[side].build(list, match, rows);
            groups[side].build(list, match, rows);
        }
        rows.finish();
    }

    [[nodiscard]] RuleList select();
    void ask_fields(const Packet<F>& packet, Query& query) const noexcept;
    void ask_groups(unsigned side, const GroupSet& set, Asked& asked) const noexcept;
    void apply_spilled(
        unsigned side, const GroupSet& set, std::uint32_t block, Block& live) const noexcept;
    [[nodiscard]] bool decide(
        std::uint32_t block,
        const Block& live,
        unsigned mask,
        std::uint32_t& from,
        Verdict& verdict) const noexcept;
    [[nodiscard]] bool visit(
        const Asked& asked,
        std::uint32_t block,
        std::uint32_t& from,
        Verdict& verdict) const noexcept;
    [[nodiscard]] Verdict walk(const Asked& asked) const noexcept;

    std::shared_ptr<const Program> program;
    std::vector<Step> steps;
    RuleList list;
    RowStore rows;
    Intersect intersect = best_intersect();
    ProtocolField<F> protocol;
    std::array<PortField, 2> ports;
    std::array<NetField<F>, 2> nets;
    std::array<GroupField, 2> groups;
};

/// The rules that may match this family; fills `steps` beside.
template <Family F>
RuleList Classifier<F>::Tables::select() {
    RuleList kept;
    std::vector<std::uint32_t> position;  // of each rule of the program, in `kept`
    for (std::size_t i = 0; i < program->rules.size(); ++i) {
        const Rule& rule = program->rules[i];
        position.push_back(static_cast<std::uint32_t>(kept.size()));
        if (std::same_as<F, V4> ? rule.match.ip4 : rule.match.ip6) {
            kept.push_back(&rule);
            steps.push_back({rule.action, rule.target, static_cast<std::uint32_t>(i)});
        }
    }
    position.push_back(static_cast<std::uint32_t>(kept.size()));
    for (Step& step : steps) {
        if (step.action == Action::Jump) {
            step.target = position[std::min<std::size_t>(step.target, program->rules.size())];
        }
    }
    return kept;
}

template <Family F>
void Classifier<F>::Tables::ask_fields(const Packet<F>& packet, Query& query) const noexcept {
    query.count = 0;
    const auto add = [&](RowId row) { query.rows[query.count++] = rows[row]; };
    add(protocol.row(packet));
    if (ports[0].present()) {
        add(ports[0].row(packet.has_ports, packet.source_port));
    }
    if (ports[1].present()) {
        add(ports[1].row(packet.has_ports, packet.destination_port));
    }
    if (nets[0].present()) {
        add(nets[0].row(packet.source));
    }
    if (nets[1].present()) {
        add(nets[1].row(packet.destination));
    }
}

template <Family F>
void Classifier<F>::Tables::ask_groups(
    unsigned side, const GroupSet& set, Asked& asked) const noexcept {
    const GroupField& field = groups[side];
    GroupRows& out = asked.query.groups[side];
    out.base = rows[field.base()];
    out.wanted_count = 0;
    out.unwanted_count = 0;
    asked.spilled[side] = nullptr;
    for (const GroupId id : set.ids()) {
        if (!field.may_find(id)) {
            continue;
        }
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
            out.wanted[out.wanted_count++] = rows[effect->wanted];
        }
        if (effect->unwanted != GroupField::kNoRow) {
            out.unwanted[out.unwanted_count++] = rows[effect->unwanted];
        }
    }
}

/// Clears from `live` the rules of one block that the groups of `set` do not satisfy.
template <Family F>
void Classifier<F>::Tables::apply_spilled(
    unsigned side, const GroupSet& set, std::uint32_t block, Block& live) const noexcept {
    Block wanted = rows[groups[side].base()][block];
    Block unwanted;
    const auto merge = [&](Block& into, RowId row) {
        if (row != GroupField::kNoRow) {
            for (unsigned w = 0; w < 8; ++w) {
                into.words[w] |= rows[row][block].words[w];
            }
        }
    };
    for (const GroupId id : set.ids()) {
        if (const auto* effect = groups[side].find(id)) {
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
bool Classifier<F>::Tables::decide(
    std::uint32_t block, const Block& live, unsigned mask, std::uint32_t& from, Verdict& verdict)
    const noexcept {
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
            const Step& step = steps[at];
            if (step.action <= Action::Reject) {
                verdict.allow = step.action == Action::Allow;
                verdict.reject = step.action == Action::Reject;
                verdict.rule = step.original;
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

static_assert(
    Action::Allow < Action::Reject && Action::Deny < Action::Reject &&
    Action::Reject < Action::Jump && Action::Reject < Action::Log);

/// Judges by the rules of one block; true when one of them decides.
template <Family F>
bool Classifier<F>::Tables::visit(
    const Asked& asked, std::uint32_t block, std::uint32_t& from, Verdict& verdict) const noexcept {
    if (from >= (block + 1) * kBlockRules) {
        return false;
    }
    Block live;
    const unsigned mask = intersect(asked.query, block, live);
    for (unsigned side = 0; side < 2; ++side) {
        if (asked.spilled[side] != nullptr) [[unlikely]] {
            apply_spilled(side, *asked.spilled[side], block, live);
        }
    }
    return mask != 0 && decide(block, live, mask, from, verdict);
}

template <Family F>
Verdict Classifier<F>::Tables::walk(const Asked& asked) const noexcept {
    Verdict verdict;
    std::uint32_t from = 0;  // rules before this one are behind us
    if (rows.summaries() == 0) {
        for (std::uint32_t block = 0; block < rows.blocks(); ++block) {
            if (visit(asked, block, from, verdict)) {
                break;
            }
        }
        return verdict;
    }
    for (std::uint32_t s = 0; s < rows.summaries(); ++s) {
        Block worth;
        unsigned mask = intersect(asked.query, -1 - std::ptrdiff_t{s}, worth);
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

template <Family F>
Classifier<F>::Classifier() = default;

template <Family F>
Classifier<F>::~Classifier() = default;

template <Family F>
std::shared_ptr<const Classifier<F>> Classifier<F>::build(std::shared_ptr<const Program> program) {
    const std::shared_ptr<Classifier> classifier(new Classifier);
    classifier->tables_ = std::make_unique<Tables>(std::move(program));
    return classifier;
}

template <Family F>
void Classifier<F>::classify(
    const Packet<F>* packets,
    const GroupSet* const* source_groups,
    const GroupSet* const* destination_groups,
    Verdict* verdicts,
    unsigned count) const noexcept {
    const Tables& t = *tables_;
    Asked asked;
    const std::array sets{source_groups, destination_groups};
    for (unsigned i = 0; i < count; ++i) {
        t.ask_fields(packets[i], asked.query);
        for (unsigned side = 0; side < 2; ++side) {
            // Neighbours often have the set in common: all packets of a guest have one source.
            const bool same = i > 0 && sets[side][i] == sets[side][i - 1];
            if (t.groups[side].present() && !same) {
                t.ask_groups(side, *sets[side][i], asked);
            }
        }
        verdicts[i] = t.walk(asked);
    }
}

template <Family F>
const Program& Classifier<F>::program() const noexcept {
    return *tables_->program;
}

template class Classifier<V4>;
template class Classifier<V6>;

}  // namespace vr::acl
