// Starting DPDK's environment (EAL) from the config, and the workers on their cores.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vrouter/config.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/result.h"

namespace vr {

/// The EAL, initialised once per process; cleaned up at the end.
class Eal {
  public:
    /// Works without huge pages, slower, with one warning.  `pid` makes several instances on one
    /// machine distinct.
    [[nodiscard]] static Result<std::unique_ptr<Eal>> start(const Config& config, int pid);
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;
    Eal(Eal&&) = delete;
    Eal& operator=(Eal&&) = delete;
    ~Eal();

    /// Runs every worker on a core of its own.
    [[nodiscard]] Result<bool> launch(const std::vector<std::unique_ptr<Worker>>& workers);

    /// Waits until every worker has returned; they must have been told to stop.
    void join();

  private:
    Eal() = default;
};

/// Do EAL arguments themselves say which lcores there are?
[[nodiscard]] bool gives_lcores(const std::vector<std::string>& arguments);

/// The arguments that the EAL gets for `config`; `huge_pages` says whether the machine has free ones.
[[nodiscard]] std::vector<std::string> eal_arguments(
    const Config& config, int pid, bool huge_pages);

}  // namespace vr
