// SPDX-License-Identifier: Apache-2.0
#include "vrouter/control.h"

#include <unistd.h>

#include <utility>

#include <boost/asio/post.hpp>

namespace vr {

namespace {

using boost::system::error_code;

constexpr std::chrono::milliseconds kHousekeeping{10};
/// A gateway that is one of several gets no packet before it is resolved: who asks for it is us.
constexpr std::chrono::seconds kTouchGateways{1};

/// Runs `task`, then waits and runs it again.
void repeat(
    boost::asio::steady_timer& timer,
    std::chrono::milliseconds period,
    const std::shared_ptr<std::function<void()>>& task) {
    timer.expires_after(period);
    timer.async_wait([&timer, period, task](const error_code& error) {
        if (!error) {
            (*task)();
            repeat(timer, period, task);
        }
    });
}

}  // namespace

Control::Control(boost::asio::io_context& loop, Machine& machine, SlowPath& slow_path)
    : loop_(loop),
      machine_(machine),
      slow_path_(slow_path),
      punts_(loop, machine.punt_ring().fd()),
      neighbor_timer_(loop) {
    machine_.on_unfinished([this] { finish_soon(); });
    every(kHousekeeping, [this] { machine_.housekeeping(); });
    every(kTouchGateways, [this] {
        slow_path_.touch_gateways(std::chrono::steady_clock::now());
        arm_neighbor_timer();
    });
    take_punts();
}

Control::~Control() {
    machine_.on_unfinished({});
    // The ring owns its descriptor.
    punts_.release();
}

void Control::every(std::chrono::milliseconds period, std::function<void()> task) {
    timers_.push_back(std::make_unique<boost::asio::steady_timer>(loop_));
    repeat(*timers_.back(), period, std::make_shared<std::function<void()>>(std::move(task)));
}

/// What one turn leaves of a large table or of many flows is done turn by turn.
void Control::finish_soon() {
    if (!std::exchange(finishing_, true)) {
        boost::asio::post(loop_, [this] {
            finishing_ = false;
            machine_.finish();
        });
    }
}

void Control::wait_for_punts() {
    punts_.async_wait(
        boost::asio::posix::stream_descriptor::wait_read, [this](const error_code& error) {
            if (error) {
                return;
            }
            std::uint64_t count = 0;
            static_cast<void>(!read(punts_.native_handle(), &count, sizeof count));
            take_punts();
        });
}

/// One burst per turn of the loop: BGP and commands come in between.
void Control::take_punts() {
    if (slow_path_.handle_burst(std::chrono::steady_clock::now()) != 0 ||
        !machine_.punt_ring().arm()) {
        boost::asio::post(loop_, [this] { take_punts(); });
    } else {
        wait_for_punts();
    }
    arm_neighbor_timer();
}

void Control::arm_neighbor_timer() {
    const auto deadline = slow_path_.next_deadline();
    if (!deadline || neighbor_timer_.expiry() == *deadline) {
        return;
    }
    neighbor_timer_.expires_at(*deadline);
    neighbor_timer_.async_wait([this](const error_code& error) {
        if (!error) {
            slow_path_.tick(std::chrono::steady_clock::now());
            arm_neighbor_timer();
        }
    });
}

}  // namespace vr
