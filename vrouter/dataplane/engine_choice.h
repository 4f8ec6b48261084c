// Which engine executes a program: decided when its classifier is built.
//
// Figures are in perf/baseline.md.  The bit vectors build in a thirtieth of rte_acl's time and are as
// quick while their rows stay in the caches; these take (rules / 8) bytes for each distinct port range,
// net and group that rules name, so they grow with the square of the program.  Hence the rule of Auto:
// bit vectors until their rows would take kMostRowBytes, then rte_acl.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "vrouter/dataplane/classifier.h"

namespace vr::acl {

enum class EngineChoice : std::uint8_t { Auto, BitVector, RteAcl };

/// Above that rte_acl is tried first.
inline constexpr std::size_t kMostRowBytes = std::size_t{64} << 20U;

/// At most that much would the rows of the bit vectors take.
template <Family F>
[[nodiscard]] std::size_t row_bytes(const Program& program);

template <Family F>
struct Chosen {
    std::shared_ptr<const Classifier<F>> classifier;  ///< never null
    std::string refusal;  ///< why the engine that was wanted does not execute it, if so
};

/// Any thread, once the EAL runs.  What rte_acl refuses is left to the bit vectors, which take any program.
template <Family F>
[[nodiscard]] Chosen<F> build_classifier(
    const std::shared_ptr<const Program>& program, EngineChoice choice, unsigned workers);

}  // namespace vr::acl
