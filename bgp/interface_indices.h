// The numbers by which the kernel knows its interfaces, asked for once and remembered while no interface
// comes, goes or changes its name: a packet costs one look for news, not three system calls a link.
// For the Asio shell only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace vr::bgp {

class InterfaceIndices {
  public:
    InterfaceIndices() = default;
    InterfaceIndices(const InterfaceIndices&) = delete;
    InterfaceIndices& operator=(const InterfaceIndices&) = delete;
    InterfaceIndices(InterfaceIndices&&) = delete;
    InterfaceIndices& operator=(InterfaceIndices&&) = delete;
    ~InterfaceIndices();

    /// Forgets what may have changed; to be called before of(), once for whatever belongs together.
    void refresh();

    /// 0: there is no interface of that name.
    [[nodiscard]] unsigned of(const std::string& interface);

  private:
    /// What the kernel says of links (rtnetlink), from the first refresh() on, or nobody would read it; -1:
    /// nothing, so nothing is remembered.
    int news_ = -1;
    std::map<std::string, unsigned> known_;
};

}  // namespace vr::bgp
