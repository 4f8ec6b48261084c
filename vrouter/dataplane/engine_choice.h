// Which engine executes a program: decided when its classifier is built.
//
// Figures are in perf/baseline.md.  The bit vectors build in a thirtieth of rte_acl's time, take any
// program and are as quick while their rows stay in the caches: every classifier begins with them.
// Their rows take (rules / 8) bytes for each distinct port range, net and group that rules name, so they
// grow with the square of the program.  Hence the rule of Auto: bit vectors alone until their rows would
// take kMostRowBytes; beyond, large batches are left to rte_acl when it is built (relay_classifier.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/refused_sizes.h"
#include "vrouter/dataplane/relay_classifier.h"

namespace vr::acl {

enum class EngineChoice : std::uint8_t { Auto, BitVector, RteAcl };

/// Above that rte_acl is wanted.
inline constexpr std::size_t kMostRowBytes = std::size_t{64} << 20U;

/// Auto: batches of so many packets are large.
inline constexpr unsigned kLargeBatch = 8;

/// At most that much would the rows of the bit vectors take.
template <Family F>
[[nodiscard]] std::size_t row_bytes(const Program& program);

template <Family F>
struct Chosen {
    std::shared_ptr<const Classifier<F>> classifier;  ///< never null
    std::weak_ptr<Relay<F>>
        wanting;  ///< the same, where rte_acl is wanted: to be given to add_trie()
};

/// Any thread.
template <Family F>
[[nodiscard]] Chosen<F> build_classifier(
    const std::shared_ptr<const Program>& program, EngineChoice choice, unsigned workers);

/// Builds rte_acl, which takes seconds for long programs, and hands it to whoever still keeps `wanting`.
/// Returns why the bit vectors stay alone; empty: they do not, or nobody keeps them.  Any thread, once
/// the EAL runs; `refused` is used by one.
template <Family F>
[[nodiscard]] std::string add_trie(const std::weak_ptr<Relay<F>>& wanting, RefusedSizes& refused);

}  // namespace vr::acl
