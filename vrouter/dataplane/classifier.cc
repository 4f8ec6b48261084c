// Bit vectors: each field of the packet selects a row of bits, one bit per rule that the field
// satisfies; the first bit set in all rows is the first rule that matches.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/classifier.h"

#include <array>
#include <bit>
#include <span>
#include <vector>

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

/// One side's groups of one packet as rows.
struct GroupRows {
    static constexpr unsigned kMost = 32;

    const Block* base = nullptr;  ///< null: no rule asks
    std::array<const Block*, kMost> wanted;
    std::array<const Block*, kMost> unwanted;
    unsigned wanted_count = 0;
    unsigned unwanted_count = 0;
    std::span<const GroupId> rest;  ///< groups beyond kMost, looked up block by block
};

struct Query {
    static constexpr unsigned kMostFields = 5;

    std::array<const Block*, kMostFields> rows;
    unsigned count = 0;
    std::array<GroupRows, 2> groups;
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

    /// The rules that may match this family; fills `steps`.
    [[nodiscard]] RuleList select() {
        RuleList kept;
        std::vector<std::uint32_t> position(program->rules.size() + 1);
        for (std::size_t i = 0; i < program->rules.size(); ++i) {
            const Rule& rule = program->rules[i];
            position[i] = static_cast<std::uint32_t>(kept.size());
            if (std::same_as<F, V4> ? rule.match.ip4 : rule.match.ip6) {
                kept.push_back(&rule);
                steps.push_back({rule.action, rule.target, static_cast<std::uint32_t>(i)});
            }
        }
        position.back() = static_cast<std::uint32_t>(kept.size());
        for (Step& step : steps) {
            if (step.action == Action::Jump) {
                step.target = position[std::min<std::size_t>(step.target, position.size() - 1)];
            }
        }
        return kept;
    }

    void gather(const GroupField& field, const GroupSet& set, GroupRows& out) const noexcept;
    void ask(
        const Packet<F>& packet,
        const GroupSet& source,
        const GroupSet& destination,
        Query& query) const noexcept;
    void apply_groups(
        const GroupField& field,
        const GroupRows& asked,
        std::uint32_t block,
        Block& live) const noexcept;
    [[nodiscard]] Verdict walk(const Query& query) const noexcept;

    std::shared_ptr<const Program> program;
    std::vector<Step> steps;
    RuleList list;
    RowStore rows;
    ProtocolField<F> protocol;
    std::array<PortField, 2> ports;
    std::array<NetField<F>, 2> nets;
    std::array<GroupField, 2> groups;
};

template <Family F>
void Classifier<F>::Tables::gather(
    const GroupField& field, const GroupSet& set, GroupRows& out) const noexcept {
    out.base = rows[field.base()];
    out.wanted_count = 0;
    out.unwanted_count = 0;
    out.rest = {};
    const auto ids = set.ids();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto* effect = field.find(ids[i]);
        if (effect == nullptr) {
            continue;
        }
        if (std::max(out.wanted_count, out.unwanted_count) == GroupRows::kMost) {
            out.rest = ids.subspan(i);
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

template <Family F>
void Classifier<F>::Tables::ask(
    const Packet<F>& packet,
    const GroupSet& source,
    const GroupSet& destination,
    Query& query) const noexcept {
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
    query.groups[0].base = nullptr;
    if (groups[0].present()) {
        gather(groups[0], source, query.groups[0]);
    }
    query.groups[1].base = nullptr;
    if (groups[1].present()) {
        gather(groups[1], destination, query.groups[1]);
    }
}

/// Clears from `live` the rules of one block that the side's groups do not satisfy.
template <Family F>
void Classifier<F>::Tables::apply_groups(
    const GroupField& field,
    const GroupRows& asked,
    std::uint32_t block,
    Block& live) const noexcept {
    Block wanted = asked.base[block];
    Block unwanted;
    const auto merge = [](Block& into, const Block& from) {
        for (unsigned w = 0; w < 8; ++w) {
            into.words[w] |= from.words[w];
        }
    };
    for (unsigned i = 0; i < asked.wanted_count; ++i) {
        merge(wanted, asked.wanted[i][block]);
    }
    for (unsigned i = 0; i < asked.unwanted_count; ++i) {
        merge(unwanted, asked.unwanted[i][block]);
    }
    for (const GroupId id : asked.rest) {
        if (const auto* effect = field.find(id)) {
            if (effect->wanted != GroupField::kNoRow) {
                merge(wanted, rows[effect->wanted][block]);
            }
            if (effect->unwanted != GroupField::kNoRow) {
                merge(unwanted, rows[effect->unwanted][block]);
            }
        }
    }
    for (unsigned w = 0; w < 8; ++w) {
        live.words[w] &= wanted.words[w] & ~unwanted.words[w];
    }
}

template <Family F>
Verdict Classifier<F>::Tables::walk(const Query& query) const noexcept {
    Verdict verdict;
    std::uint32_t from = 0;  // rules before this one are behind us
    for (std::uint32_t block = 0; block < rows.blocks(); ++block) {
        const std::uint32_t end = (block + 1) * kBlockRules;
        if (from >= end) {
            continue;
        }
        Block live = query.rows[0][block];
        for (unsigned i = 1; i < query.count; ++i) {
            for (unsigned w = 0; w < 8; ++w) {
                live.words[w] &= query.rows[i][block].words[w];
            }
        }
        for (unsigned side = 0; side < 2; ++side) {
            if (query.groups[side].base != nullptr) {
                apply_groups(groups[side], query.groups[side], block, live);
            }
        }
        for (unsigned w = 0; w < 8; ++w) {
            const std::uint32_t first = block * kBlockRules + w * 64;
            std::uint64_t word = live.words[w];
            while (word != 0 && from < first + 64) {
                if (from > first) {
                    word &= ~std::uint64_t{0} << (from - first);
                    if (word == 0) {
                        break;
                    }
                }
                const auto at = first + static_cast<std::uint32_t>(std::countr_zero(word));
                const Step& step = steps[at];
                if (step.action == Action::Allow || step.action == Action::Deny) {
                    verdict.allow = step.action == Action::Allow;
                    verdict.rule = step.original;
                    return verdict;
                }
                if (step.action == Action::Log) {
                    verdict.logged = step.original;
                }
                from = step.action == Action::Log ? at + 1 : step.target;
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
    Query query;
    for (unsigned i = 0; i < count; ++i) {
        tables_->ask(packets[i], *source_groups[i], *destination_groups[i], query);
        verdicts[i] = tables_->walk(query);
    }
}

template <Family F>
const Program& Classifier<F>::program() const noexcept {
    return *tables_->program;
}

template class Classifier<V4>;
template class Classifier<V6>;

}  // namespace vr::acl
