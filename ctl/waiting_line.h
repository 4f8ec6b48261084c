// WaitingLine: tells whoever sits at a terminal that a command is still being carried out, and for how long.
//
// One line, drawn over each second and wiped away at the end.  A shell: it has a thread of its own, since
// vrouterctl waits for an answer and does nothing else meanwhile.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

namespace vr::ctl {

class WaitingLine {
  public:
    /// Draws at once.  Nobody else may write to `terminal` until it is destroyed.
    WaitingLine(std::string_view what, std::FILE* terminal);
    WaitingLine(const WaitingLine&) = delete;
    WaitingLine& operator=(const WaitingLine&) = delete;
    WaitingLine(WaitingLine&&) = delete;
    WaitingLine& operator=(WaitingLine&&) = delete;
    ~WaitingLine();

  private:
    void draw(std::string_view text) const;

    std::string what_;
    std::FILE* terminal_;
    std::jthread clock_;
};

}  // namespace vr::ctl
