// Classifier<F>: executes an acl::Program for packets of one family.  Second stage of classification.
//
// Built off the data path from the program (the builder thread may do it), immutable afterwards and
// shared by all endpoints and workers.  The verdict equals a linear walk over the program's rules
// (policy/reference and the tests hold it to that).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/groups.h"

namespace vr::acl {

template <Family F>
class Classifier {
  public:
    /// Compiles `program`; any thread.  Costs about linear in rules.
    [[nodiscard]] static std::shared_ptr<const Classifier> build(
        std::shared_ptr<const Program> program);

    Classifier(const Classifier&) = delete;
    Classifier& operator=(const Classifier&) = delete;
    Classifier(Classifier&&) = delete;
    Classifier& operator=(Classifier&&) = delete;
    ~Classifier();

    /// Judges `count` packets; `source_groups` and `destination_groups` come from the GroupTable of
    /// this family.  Any worker.
    void classify(
        const Packet<F>* packets,
        const GroupSet* const* source_groups,
        const GroupSet* const* destination_groups,
        Verdict* verdicts,
        unsigned count) const noexcept;

    [[nodiscard]] const Program& program() const noexcept;

  private:
    Classifier();
    struct Tables;
    std::unique_ptr<Tables> tables_;
};

}  // namespace vr::acl
