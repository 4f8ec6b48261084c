// SPDX-License-Identifier: Apache-2.0
#include "bgp/interface_indices.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vr::bgp {
namespace {

int open_news() {
    const int news = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    sockaddr_nl links{};
    links.nl_family = AF_NETLINK;
    links.nl_groups = RTMGRP_LINK;
    sockaddr_storage storage{};
    std::memcpy(&storage, &links, sizeof(links));
    if (news >= 0 &&
        ::bind(news, reinterpret_cast<const sockaddr*>(&storage), sizeof(links)) == 0) {
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

InterfaceIndices::~InterfaceIndices() {
    if (news_ >= 0) {
        ::close(news_);
    }
}

void InterfaceIndices::refresh() {
    if (news_ < 0) {
        news_ = open_news();
        known_.clear();
    } else if (take_news(news_)) {
        known_.clear();
    }
}

unsigned InterfaceIndices::of(const std::string& interface) {
    const auto [at, asked] = known_.try_emplace(interface);
    if (asked) {
        at->second = ::if_nametoindex(interface.c_str());
    }
    return at->second;
}

}  // namespace vr::bgp
