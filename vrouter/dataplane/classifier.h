// Classifier<F>: executes an acl::Program for packets of one family.  Second stage of classification.
//
// Built off the data path from the program (the builder thread may do it), immutable afterwards but for
// its counters, and shared by all endpoints and workers.  Two engines do it, each good at something
// (engine_choice.h); the verdict of both equals a linear walk over the program's rules
// (policy/reference and the tests hold them to that).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/rule_hits.h"

namespace vr::acl {

enum class Engine : std::uint8_t {
    BitVector,  ///< rows of bits, one bit a rule: any program, built at once
    RteAcl,     ///< DPDK's tries: long programs, if they are simple enough
};

[[nodiscard]] constexpr std::string_view name(Engine engine) noexcept {
    return engine == Engine::BitVector ? "bitvector" : "rte_acl";
}

template <Family F>
class Classifier {
  public:
    /// Compiles `program` for the bit-vector engine; any thread.  Costs about linear in rules.  Hits are
    /// counted for workers 0..workers-1.
    [[nodiscard]] static std::shared_ptr<const Classifier> build(
        std::shared_ptr<const Program> program, unsigned workers = 0);

    Classifier(const Classifier&) = delete;
    Classifier& operator=(const Classifier&) = delete;
    Classifier(Classifier&&) = delete;
    Classifier& operator=(Classifier&&) = delete;
    virtual ~Classifier() = default;

    /// Judges `count` packets; `source_groups` and `destination_groups` come from the GroupTable of
    /// this family.  Every rule that a packet matches on its way adds to `hits`, if any: a worker's
    /// own row.  Any worker.
    virtual void classify(
        const Packet<F>* packets,
        const GroupSet* const* source_groups,
        const GroupSet* const* destination_groups,
        Verdict* verdicts,
        unsigned count,
        Counter* hits = nullptr) const noexcept = 0;

    [[nodiscard]] virtual Engine engine() const noexcept = 0;

    [[nodiscard]] const Program& program() const noexcept { return *program_; }

    /// What is counted; its rows may be written by their workers though the classifier is immutable.
    [[nodiscard]] RuleHits& hits() const noexcept { return hits_; }

  protected:
    Classifier(std::shared_ptr<const Program> program, unsigned workers)
        : program_(std::move(program)), hits_(program_->rules.size(), workers) {}

  private:
    std::shared_ptr<const Program> program_;
    mutable RuleHits hits_;
};

}  // namespace vr::acl
