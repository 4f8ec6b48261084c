// The numbers by which the kernel knows its interfaces, asked for once and remembered while no interface
// comes, goes or changes its name: a packet costs one look for news, not three system calls a link.
// For the Asio shell only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "bgp/kernel_news.h"

namespace vr::bgp {

class InterfaceIndices {
  public:
    InterfaceIndices();

    /// Forgets what may have changed; to be called before of(), once for whatever belongs together.
    void refresh();

    /// 0: there is no interface of that name.
    [[nodiscard]] unsigned of(const std::string& interface);

  private:
    KernelNews news_;
    std::map<std::string, unsigned> known_;
};

}  // namespace vr::bgp
