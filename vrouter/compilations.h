// Compilations: the programs of endpoints on their way through the builder, one after the other.
//
// Endpoints with the same programs wait for them together and get them together.  What packets are judged by
// comes first; staged programs, which are only counted, follow: nothing waits for them.  A newer compilation of
// an endpoint takes the place of an older one, whichever is done first.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vrouter/builder.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/workload.h"

namespace vr {

enum ProgramKind : std::uint8_t { kIngress, kEgress, kStagedIngress, kStagedEgress, kProgramKinds };

/// Null: there is none.
using EndpointPrograms = std::array<std::shared_ptr<const acl::Program>, kProgramKinds>;
using CompiledPrograms = std::array<Compiled, kProgramKinds>;

[[nodiscard]] EndpointPrograms programs_of(const Workload& workload);

class Compilations {
  public:
    /// That is what the endpoint has from now on.
    using Activate =
        std::function<void(const std::string& endpoint, const CompiledPrograms& compiled)>;

    /// So many endpoints were activated, or one more program waits for the builder.
    using Settle = std::function<void(std::size_t activated)>;

    struct Order {
        std::vector<std::string> endpoints;
        EndpointPrograms programs;
        CompiledPrograms compiled{};  ///< what need not be compiled

        /// Takes over what `endpoint` uses already.
        void keep_enforced(const Endpoint& endpoint);
        void keep_staged(const Endpoint& endpoint);

      private:
        void keep(ProgramKind kind, const Compiled& in_use);
    };

    Compilations(Builder& builder, Activate activate, Settle settle);

    void begin(Order order);

    /// What is being compiled for the endpoint comes into force no more.
    void forget(const std::string& endpoint) { awaited_.erase(endpoint); }

    /// Whether programs are on their way that are to be enforced.
    [[nodiscard]] bool busy() const { return enforcing_ != 0; }

  private:
    struct Job {
        Order order;
        std::uint64_t number = 0;
        bool enforced = false;  ///< in force but for what is staged
    };

    [[nodiscard]] bool awaits(const std::string& endpoint, const Job& job) const;
    void compile_next(const std::shared_ptr<Job>& job, std::size_t kind);
    void activate(const Job& job);

    Builder& builder_;
    Activate activate_;
    Settle settle_;
    std::map<std::string, std::uint64_t> awaited_;  ///< the job that counts for an endpoint
    std::uint64_t jobs_ = 0;                        ///< numbers given out
    std::size_t enforcing_ = 0;                     ///< jobs on their way that are not in force
};

}  // namespace vr
