// Journal: a map of which one thread tells what changes and another has the whole, so that handing it over costs what
// has changed since, however much there is.  What is noted counts from commit() on, together.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vr::policy {

template <typename Value>
class Journal {
  public:
    using Whole = std::map<std::string, Value>;

    /// `value` is what there is of `name` now; nullopt: nothing.
    void note(std::string name, std::optional<Value> value) {
        changes_.insert_or_assign(std::move(name), std::move(value));
    }

    void commit() {
        constexpr std::size_t kFew = 64;
        if (committed_.empty() || changes_.size() > kFew) {
            committed_.push_back(std::exchange(changes_, {}));
            return;
        }
        for (auto& [name, value] : std::exchange(changes_, {})) {
            committed_.back().insert_or_assign(name, std::move(value));
        }
    }

    /// Makes all that was committed into one map; for the thread that has it.  What take() returned is to be called once
    /// each, in that order and never two at a time; the answer counts until the next such call, or until it is gone.
    [[nodiscard]] std::function<const Whole&()> take() {
        auto changes = std::make_shared<std::vector<Changes>>(std::exchange(committed_, {}));
        return [whole = whole_, changes = std::move(changes)]() -> const Whole& {
            for (auto& each : std::exchange(*changes, {})) {
                for (auto& [name, value] : each) {
                    if (value) {
                        whole->insert_or_assign(name, *std::move(value));
                    } else {
                        whole->erase(name);
                    }
                }
            }
            return *whole;
        };
    }

  private:
    using Changes = std::map<std::string, std::optional<Value>>;

    Changes changes_;                 ///< since commit()
    std::vector<Changes> committed_;  ///< since take()
    std::shared_ptr<Whole> whole_ = std::make_shared<Whole>();
};

}  // namespace vr::policy
