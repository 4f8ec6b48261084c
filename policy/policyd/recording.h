// Recording: what hosts were told, in a file, to be looked at or played again.
//
// A file of frames like those of the stream, each a Recorded: host, time, message.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <fstream>
#include <functional>
#include <istream>
#include <string>

#include "policy/policyd/wire.h"
#include "vrouter/net/result.h"

namespace vr::policyd {

namespace pb {
class Recorded;
}  // namespace pb

class Recording {
  public:
    /// Begins `path` anew.
    [[nodiscard]] static Result<Recording> create(const std::string& path);

    /// Appends a message: `frame` as sent.
    void add(const std::string& host, const std::string& frame);

    /// False once something could not be written: the rest is missing.
    [[nodiscard]] bool ok() const { return static_cast<bool>(file_); }

  private:
    std::ofstream file_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// Calls `visit` for each message of a recording, in order; the first error that it returns ends that.
[[nodiscard]] Result<void> play(
    std::istream& file, const std::function<Result<void>(const pb::Recorded& entry)>& visit);
[[nodiscard]] Result<void> play(
    const std::string& path, const std::function<Result<void>(const pb::Recorded& entry)>& visit);

/// A recorded message as JSON, a line for each update that it holds, or for the message itself:
///   {"host":"h","milliseconds":12,"sequence":3,"update":"object","object":"Tier t","document":"..."}
[[nodiscard]] Result<std::string> json_lines(const pb::Recorded& entry);

}  // namespace vr::policyd
