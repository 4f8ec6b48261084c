// Whether the kernel's interfaces, or their addresses, may have changed since they were last looked at, so that
// what was read can be remembered.  For the Asio shell only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vr::bgp {

class KernelNews {
  public:
    /// `groups`: RTMGRP_LINK and so on, rtnetlink(7).
    explicit KernelNews(unsigned groups) : groups_(groups) {}

    KernelNews(const KernelNews&) = delete;
    KernelNews& operator=(const KernelNews&) = delete;
    KernelNews(KernelNews&&) = delete;
    KernelNews& operator=(KernelNews&&) = delete;
    ~KernelNews();

    /// True the first time, and when there was any since the last time or that cannot be told.
    [[nodiscard]] bool any();

    /// What can be read from when there is news, from the first any() on; -1: that cannot be told.
    [[nodiscard]] int descriptor() const noexcept { return socket_; }

  private:
    unsigned groups_;
    int socket_ = -1;  ///< from the first question on, or nobody would read it
};

}  // namespace vr::bgp
