// Control: the event loop around the machine: punted packets, neighbor timers, housekeeping.
//
// A thin shell: all decisions are in slow_path.h, machine.h and below.  Everything runs on the thread
// that runs the io_context.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/machine.h"
#include "vrouter/slow_path.h"

namespace vr {

class Control {
  public:
    /// Starts waiting for events of `machine`.
    Control(boost::asio::io_context& loop, Machine& machine, SlowPath& slow_path);
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;
    Control(Control&&) = delete;
    Control& operator=(Control&&) = delete;
    ~Control();

    /// Calls `task` about every `period`, until destroyed.
    void every(std::chrono::milliseconds period, std::function<void()> task);

  private:
    void wait_for_punts();
    void take_punts();
    void arm_neighbor_timer();
    void finish_soon();

    boost::asio::io_context& loop_;
    Machine& machine_;
    SlowPath& slow_path_;
    boost::asio::posix::stream_descriptor punts_;
    boost::asio::steady_timer neighbor_timer_;
    bool finishing_ = false;  ///< Machine::finish() is posted
    std::vector<std::unique_ptr<boost::asio::steady_timer>> timers_;
};

}  // namespace vr
