// SPDX-License-Identifier: Apache-2.0
#include "bgp/kernel_news.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vr::bgp {
namespace {

int open_news(unsigned groups) {
    const int news = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    sockaddr_storage storage{};
    std::memcpy(&storage, &address, sizeof(address));
    if (news >= 0 &&
        ::bind(news, reinterpret_cast<const sockaddr*>(&storage), sizeof(address)) == 0) {
        return news;
    }
    if (news >= 0) {
        ::close(news);
    }
    return -1;
}

/// True when there were any, or when more than there was room for (ENOBUFS).
bool take_news(int news) {
    char one = 0;  // the rest of a message goes with what was read
    bool any = false;
    for (;;) {
        if (::recv(news, &one, sizeof(one), MSG_TRUNC) < 0 && errno != ENOBUFS && errno != EINTR) {
            return any;
        }
        any = true;
    }
}

}  // namespace

KernelNews::~KernelNews() {
    if (socket_ >= 0) {
        ::close(socket_);
    }
}

bool KernelNews::any() {
    if (socket_ < 0) {
        socket_ = open_news(groups_);
        return true;
    }
    return take_news(socket_);
}

}  // namespace vr::bgp
