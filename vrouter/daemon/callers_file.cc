// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/callers_file.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "policy/saver.h"
#include "policy/sealed_file.h"
#include "vrouter/net/format.h"

namespace vr::daemon {
namespace {

constexpr std::string_view kMagic = "vrouter callers 1\n";
/// How often it is looked who is there.
constexpr std::chrono::seconds kWatch{1};
/// More than these are nobody's callers.
constexpr std::size_t kMostCallers = 1U << 16U;

}  // namespace

std::string encode_callers(const Callers& callers) {
    std::string bytes(kMagic);
    for (const IpAddr& caller : callers) {
        policy::put_text(bytes, to_string(caller));
    }
    policy::seal(bytes);
    return bytes;
}

Result<Callers> decode_callers(std::string_view bytes) {
    const auto content = policy::unseal(kMagic, bytes);
    if (!content) {
        return fail(content.error().text);
    }
    Callers callers;
    vr::Reader reader(*content);
    while (reader.remaining() != 0) {
        const auto caller = parse_ip(policy::get_text(reader));
        if (!reader.ok() || !caller || callers.size() == kMostCallers) {
            return fail("is damaged");
        }
        callers.push_back(*caller);
    }
    return callers;
}

CallersFile::CallersFile(boost::asio::io_context& loop, std::string path)
    : path_(std::move(path)), timer_(loop) {}

CallersFile::~CallersFile() = default;

Result<Callers> CallersFile::read() {
    const auto bytes = policy::read_whole(path_);
    if (!bytes) {
        return fail(bytes.error().text);
    }
    if (!*bytes) {
        return Callers{};
    }
    auto callers = decode_callers(**bytes);
    if (!callers) {
        return fail(path_ + ": " + callers.error().text);
    }
    callers_ = *callers;
    return callers;
}

void CallersFile::follow(std::function<Callers()> present) {
    present_ = std::move(present);
    saver_ = std::make_unique<policy::Saver>(
        timer_.get_executor(), path_, "bgp: callers of ranges", [this] {
            return [callers = callers_] { return encode_callers(callers); };
        });
    watch();
}

void CallersFile::watch() {
    if (Callers now = present_(); now != callers_) {
        callers_ = std::move(now);
        saver_->changed();
    }
    timer_.expires_after(kWatch);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error && present_) {
            watch();
        }
    });
}

void CallersFile::remove() {
    present_ = nullptr;
    timer_.cancel();
    if (saver_) {
        saver_->stop();
    }
    unlink(path_.c_str());
}

}  // namespace vr::daemon
