// Dispatch: which handler answers which request.
//
// Handlers are functions by noun (port.cc, route.cc, ...), registered with on(), each given only the
// part of the router that it reads.  An answer is a message, a failure, Slices: a listing made frame
// by frame, so that a million routes never hold up the control thread; or it comes Later, when others
// have answered.  Handlers and slices run on the control thread; the parts that they read must outlive
// the Server.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <vrouter.pb.h>

namespace vr::ctl {

/// Rows that a slice of a listing holds: well below 1 ms to make, and to free.
inline constexpr std::size_t kRowsPerFrame = 128;

/// Rows of a long listing that are put in order together.
inline constexpr std::size_t kSortedRows = 2048;

/// Fills one frame of an answer; true when another follows.
using Slices = std::move_only_function<bool(pb::Response& frame)>;

/// Why a request was not done: what was wrong, where, and what to do about it.
struct Failure {
    pb::Error::Code code = pb::Error::CODE_INVALID;
    std::string text;
};

/// An answer that is there.
using Now = std::variant<pb::Response, Failure, Slices>;

/// Given where the answer is to go, once it is known.
using Later = std::move_only_function<void(std::move_only_function<void(Now answer)> reply)>;

using Answer = std::variant<pb::Response, Failure, Slices, Later>;
using Handler = std::function<Answer(const pb::Request&)>;

class Dispatch {
  public:
    /// `handler` answers `command` from now on; one handler for each.
    void on(pb::Request::CommandCase command, Handler handler);

    /// Answers `request`, whatever it is, by calling `deliver` once, now or later: failures and unknown
    /// commands become Error frames.
    void answer(const pb::Request& request, std::move_only_function<void(Slices)> deliver) const;

  private:
    std::map<pb::Request::CommandCase, Handler> handlers_;
};

/// A listing with one row for each of `items`, made only when its frame is due.  `List` is the list in
/// the response, `fill` writes an item into a row:
/// `listing<&pb::Response::mutable_ports>(ports, [](const Port& port, pb::Port& row) { ... })`.
template <auto List, typename Item, typename Fill>
[[nodiscard]] Slices listing(std::vector<Item> items, Fill fill) {
    return [items = std::move(items), fill = std::move(fill), next = std::size_t{0}](
               pb::Response& frame) mutable {
        auto& list = *(frame.*List)();
        for (std::size_t n = 0; n < kRowsPerFrame && next < items.size(); ++n, ++next) {
            fill(items[next], *list.add_rows());
        }
        return next < items.size();
    };
}

/// A listing of what has to be looked for: `collect(items)` adds the next slice of it by key, true when
/// another follows; `fill(key, item, row)` writes a row.  In the order of the keys, but for what is longer
/// than kSortedRows: so many of those found one after the other.  Frames while it looks have no rows.
template <auto List, typename Key, typename Item, typename Collect, typename Fill>
[[nodiscard]] Slices sorted_listing(Collect collect, Fill fill) {
    return [collect = std::move(collect),
            fill = std::move(fill),
            items = std::multimap<Key, Item>{},
            looks = true,
            more = true](pb::Response& frame) mutable {
        auto& list = *(frame.*List)();
        if (looks) {
            more = collect(items);
            if (more && items.size() < kSortedRows) {
                return true;
            }
        }
        for (std::size_t n = 0; n < kRowsPerFrame && !items.empty(); ++n) {
            const auto first = items.begin();
            fill(first->first, first->second, *list.add_rows());
            items.erase(first);
        }
        looks = items.empty();
        return more || !looks;
    };
}

}  // namespace vr::ctl
