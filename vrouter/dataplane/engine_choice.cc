// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/engine_choice.h"

#include <utility>

#include "vrouter/dataplane/trie_classifier.h"

namespace vr::acl {

template <Family F>
std::size_t row_bytes(const Program& program) {
    std::size_t rows = 0;
    std::size_t rules = 0;
    for (const Rule& rule : program.rules) {
        if (!(std::same_as<F, V4> ? rule.match.ip4 : rule.match.ip6)) {
            continue;
        }
        ++rules;
        for (const SideMatch* side : {&rule.match.source, &rule.match.destination}) {
            const std::size_t nets = std::same_as<F, V4>
                                         ? side->nets4.size() + side->not_nets4.size()
                                         : side->nets6.size() + side->not_nets6.size();
            rows += 2 * (nets + side->ports.size() + side->not_ports.size());
            rows += (side->group ? 1U : 0U) + (side->not_group ? 1U : 0U);
        }
    }
    return rows * (rules / 8);
}

template <Family F>
Chosen<F> build_classifier(
    const std::shared_ptr<const Program>& program, EngineChoice choice, unsigned workers) {
    if (choice == EngineChoice::BitVector ||
        (choice == EngineChoice::Auto && row_bytes<F>(*program) <= kMostRowBytes)) {
        return {Classifier<F>::build(program, workers), {}};
    }
    const unsigned from = choice == EngineChoice::RteAcl ? 1 : kLargeBatch;
    auto relay = std::make_shared<Relay<F>>(program, Classifier<F>::build(program), from, workers);
    return {relay, relay};
}

template <Family F>
std::string add_trie(const std::weak_ptr<Relay<F>>& wanting, RefusedSizes& refused) {
    // The program alone is kept meanwhile: what nobody else wants any more shall not stay for this.
    std::shared_ptr<const Program> program;
    if (const auto relay = wanting.lock()) {
        program = relay->source();
    }
    if (!program) {
        return {};
    }
    auto trie = build_trie_classifier<F>(program, 0, &refused);
    if (!trie) {
        return std::move(trie).error().text;
    }
    if (const auto relay = wanting.lock()) {
        relay->succeed(*std::move(trie));
    }
    return {};
}

template std::size_t row_bytes<V4>(const Program&);
template std::size_t row_bytes<V6>(const Program&);
template Chosen<V4> build_classifier(const std::shared_ptr<const Program>&, EngineChoice, unsigned);
template Chosen<V6> build_classifier(const std::shared_ptr<const Program>&, EngineChoice, unsigned);
template std::string add_trie(const std::weak_ptr<Relay<V4>>&, RefusedSizes&);
template std::string add_trie(const std::weak_ptr<Relay<V6>>&, RefusedSizes&);

}  // namespace vr::acl
