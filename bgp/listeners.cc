// SPDX-License-Identifier: Apache-2.0
#include "bgp/listeners.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/ip/v6_only.hpp>

#include "bgp/asio_address.h"
#include "bgp/tcp_options.h"
#include "vrouter/net/log.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int kBacklog = 4096;
constexpr std::chrono::milliseconds kAcceptPause{100};
/// What could not be listened on is tried again after this.
constexpr std::chrono::seconds kRetry{2};

/// What the kernel has one key for.
IpPrefix key_target(const Listeners::Callers& callers) {
    const auto* range = std::get_if<IpPrefix>(&callers);
    return range != nullptr ? *range : host_prefix(without_zone(std::get<IpAddr>(callers)));
}

/// Sets the key of `callers` on a listening socket of their family.
void set_key_on(
    tcp::acceptor& acceptor, const Listeners::Callers& callers, std::string_view password) {
    error_code ignored;
    const bool v6 = acceptor.local_endpoint(ignored).protocol() == tcp::v6();
    std::visit(
        [&](const auto& target) {
            if (v6 != (target.index() == 1)) {
                return;
            }
            if (const auto set = set_tcp_md5(acceptor.native_handle(), target, password); !set) {
                log::error("bgp {}: {}", to_string(without_zone(target)), set.error().text);
            }
        },
        callers);
}

}  // namespace

Listeners::Listeners(asio::io_context& io, Accepted accepted)
    : io_(io), accepted_(std::move(accepted)), retry_timer_(io) {}

Listeners::~Listeners() {
    *alive_ = false;
    close();  // what waits on a socket holds it, too
}

Result<void> Listeners::open(const std::vector<IpAddr>& addresses, L4Port port) {
    addresses_ = addresses;
    port_ = port;
    return open_wanted();
}

const Result<void>& Listeners::open_wanted() {
    opened_ = {};
    for (const IpAddr& address : addresses_) {
        const bool open = std::ranges::any_of(acceptors_, [&](const AcceptorPtr& acceptor) {
            error_code ignored;
            return acceptor->local_endpoint(ignored).address() == to_asio(address);
        });
        auto opened = open ? Result<void>{} : listen(address);
        if (!opened && opened_) {
            opened_ = std::move(opened);
        }
    }
    return opened_;
}

void Listeners::retry() {
    retry_timer_.expires_after(kRetry);
    retry_timer_.async_wait([this, alive = alive_](const error_code& error) {
        if (error || !*alive) {
            return;
        }
        if (open_wanted()) {
            log::info("bgp: listens wherever it is to");
        } else {
            retry();
        }
    });
}

void Listeners::close() {
    for (const AcceptorPtr& acceptor : acceptors_) {
        error_code ignored;
        acceptor->close(ignored);
    }
    acceptors_.clear();
    opened_ = {};
    retry_timer_.cancel();
}

std::optional<L4Port> Listeners::port() const {
    error_code ignored;
    return acceptors_.empty()
               ? std::nullopt
               : std::optional{L4Port{acceptors_.front()->local_endpoint(ignored).port()}};
}

void Listeners::set_key(const Callers& callers, const std::string& password) {
    if (password.empty()) {
        keys_.erase(callers);
    } else {
        keys_[callers] = password;
    }
    for (const AcceptorPtr& acceptor : acceptors_) {
        set_key_on(*acceptor, callers, key_in_force(callers));
    }
}

/// What the kernel is to have for them: of an address the key of a peer there, on whatever link, before that of
/// a range of nobody else.
std::string Listeners::key_in_force(const Callers& callers) const {
    auto found = keys_.find(callers);
    if (found == keys_.end() || std::holds_alternative<IpPrefix>(callers)) {
        // Addresses come before ranges.
        found = std::ranges::find_if(
            keys_, [&](const auto& each) { return key_target(each.first) == key_target(callers); });
    }
    return found == keys_.end() ? std::string{} : found->second;
}

Result<void> Listeners::listen(const IpAddr& address) {
    const tcp::endpoint endpoint{to_asio(address), port_.value()};
    auto opened = std::make_shared<Acceptor>(io_);
    Acceptor& acceptor = *opened;
    error_code error;
    error_code ignored;
    acceptor.open(endpoint.protocol(), error);
    acceptor.set_option(tcp::acceptor::reuse_address{true}, ignored);
    if (endpoint.protocol() == tcp::v6()) {
        acceptor.set_option(asio::ip::v6_only{true}, ignored);
    }
    if (!error) {
        acceptor.bind(endpoint, error);
    }
    if (!error) {
        for (const auto& [callers, password] : keys_) {
            set_key_on(acceptor, callers, key_in_force(callers));
        }
        acceptor.listen(kBacklog, error);
    }
    if (error) {
        return fail(fmt::format(
            "bgp: listen on {} port {}: {}", to_string(address), port_.value(), error.message()));
    }
    acceptor.non_blocking(true, ignored);
    accept_next(acceptors_.emplace_back(std::move(opened)));
    return {};
}

void Listeners::accept_next(const AcceptorPtr& acceptor) {
    acceptor->async_accept(
        [this, acceptor, alive = alive_](const error_code& error, tcp::socket socket) {
            if (!*alive || error == asio::error::operation_aborted || !acceptor->is_open()) {
                return;
            }
            if (!error) {
                accepted_(std::move(socket));
                accept_next(acceptor);
                return;
            }
            // Out of descriptors, most likely: not again at once.
            log::warning("bgp: accept: {}", error.message());
            auto pause = std::make_shared<asio::steady_timer>(io_, kAcceptPause);
            pause->async_wait([this, acceptor, alive, pause](const error_code&) {
                if (*alive && acceptor->is_open()) {
                    accept_next(acceptor);
                }
            });
        });
}

}  // namespace vr::bgp
