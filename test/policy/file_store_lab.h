// What the tests of FileStore have in common: a directory, and who is told of it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "policy/file_store.h"

namespace vr::policy::file_store_test {

namespace fs = std::filesystem;

inline std::string tier(std::string_view name, int order) {
    return "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " +
           std::string(name) + "}\nspec: {order: " + std::to_string(order) + "}\n";
}

inline std::string bad_tier(std::string_view name) {
    return "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " +
           std::string(name) + "}\nspec: {order: many}\n";
}

inline Key tier_key(std::string name) {
    return {Kind::Tier, {}, std::move(name)};
}

/// Nobody else writes while the store looks.  More than the grace of vanished files, which a look renews.
inline constexpr std::chrono::milliseconds kLook{150};

/// The size from which on files are read beside the loop: what happens must be the same.
class FileStoreTest : public testing::TestWithParam<std::uintmax_t> {
  protected:
    FileStoreTest() {
        std::string pattern = (fs::temp_directory_path() / "policy-XXXXXX").string();
        directory_ = mkdtemp(pattern.data());
    }

    ~FileStoreTest() override {
        watching_.reset();
        fs::remove_all(directory_);
    }

    void write(const std::string& file, const std::string& text) const {
        std::ofstream(directory_ / file) << text;
    }

    void take(const Batch& batch) {
        ++batches_;
        understood_ = batch.understood;
        for (const auto& event : batch.events) {
            if (const auto* came = std::get_if<Upsert>(&event)) {
                told_.push_back(fmt::format(
                    "{} {}", came->resource->key.name, *came->resource->as<Tier>().order));
            } else if (const auto* went = std::get_if<Delete>(&event)) {
                told_.push_back(went->key.name + " gone");
            }
        }
        for (const auto& [key, reason] : batch.kept) {
            kept_[key] = reason;
        }
        for (const auto& event : batch.events) {
            if (const auto* came = std::get_if<Upsert>(&event)) {
                objects_[came->resource->key] = came->resource;
            } else if (const auto* went = std::get_if<Delete>(&event)) {
                objects_.erase(went->key);
            } else {
                in_sync_ = true;
            }
        }
    }

    /// Runs until `done()`; the limit only ends a test that fails.
    template <typename Done>
    void wait_for(Done done) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < limit) {
            io_.run_one_for(std::chrono::seconds(1));
        }
        EXPECT_TRUE(done());
    }

    [[nodiscard]] double order(const std::string& name) const {
        const auto found = objects_.find(tier_key(name));
        return found == objects_.end() ? -1 : found->second->as<Tier>().order.value_or(-2);
    }

    boost::asio::io_context io_;
    /// There is other work, as in a program, while all that the store waits for is another thread.
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    fs::path directory_;
    std::map<Key, ResourcePtr> objects_;
    std::map<Key, std::string> kept_;
    std::vector<std::string> told_;  ///< "NAME ORDER" or "NAME gone"
    bool in_sync_ = false;
    bool understood_ = false;
    int batches_ = 0;
    std::chrono::milliseconds look_ = kLook;
    std::unique_ptr<FileStore> watching_;

    FileStore& make(Beginning beginning = Beginning::AsFound) {
        watching_ = std::make_unique<FileStore>(
            io_.get_executor(),
            directory_,
            [this](const Batch& batch) { take(batch); },
            FileStoreOptions{
                .beginning = beginning,
                .state_file = {},
                .look_interval = look_,
                .large = GetParam()});
        return *watching_;
    }

    FileStore& start(Beginning beginning = Beginning::AsFound) {
        EXPECT_TRUE(make(beginning).start());
        return *watching_;
    }
};

inline constexpr auto kNever = std::numeric_limits<std::uintmax_t>::max();

inline std::string name_of_size(const testing::TestParamInfo<std::uintmax_t>& info) {
    return info.param == kNever ? "AtOnce" : "Beside";
}

inline bool is_told(const FileStore& store, std::string_view problem) {
    const auto problems = store.problems();
    return !problems.empty() && problems.back().find(problem) != std::string::npos;
}

/// In the place of the directory comes another, empty one.
inline void replace(const fs::path& directory) {
    fs::rename(directory, directory.string() + ".old");
    fs::create_directory(directory);
}

}  // namespace vr::policy::file_store_test
