// Where update_bench writes resources to, and how a router reads them: a directory, or an etcd.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <stdlib.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "perf/etcd_server.h"
#include "policy/etcd/store.h"
#include "policy/file_store.h"
#include "policy/resource.h"

namespace vr::perf {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

inline std::int64_t now() {
    return Clock::now().time_since_epoch().count();
}

/// When a write began, and when it was known to be in effect.
struct Written {
    std::int64_t begin = 0;
    std::int64_t confirmed = 0;
};

/// Where resources are written to, and how a router reads them.
class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    Source(Source&&) = delete;
    Source& operator=(Source&&) = delete;
    virtual ~Source() = default;

    /// Writes one object; `name` is its file's.  Nothing when it failed.
    virtual std::optional<Written> replace(const std::string& name, const std::string& text) = 0;
    /// Removes one, in the same way.
    virtual std::optional<Written> remove(const std::string& name, const policy::Key& key) = 0;
    /// Writes `count` objects, one file or transaction each; false when one failed.
    [[nodiscard]] virtual bool fill(
        std::size_t count, const std::function<std::string(std::size_t)>& text) = 0;
    /// A store that reads what was written, once start() was called.
    virtual std::unique_ptr<policy::Datastore> store(
        boost::asio::io_context& loop, policy::Listener listener) = 0;
    [[nodiscard]] virtual bool start(policy::Datastore& store) = 0;
};

/// A directory of resources, gone at the end.
class Directory final : public Source {
  public:
    explicit Directory(const fs::path& parent) {
        std::string pattern = (parent / "update-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }

    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    Directory(Directory&&) = delete;
    Directory& operator=(Directory&&) = delete;

    ~Directory() override { fs::remove_all(path_); }

    /// Writes beside, then renames into place, which is when it begins.
    std::optional<Written> replace(const std::string& name, const std::string& text) override {
        const fs::path beside = path_ / ("." + name);
        std::ofstream{beside} << text;
        const std::int64_t begin = now();
        fs::rename(beside, path_ / name);
        return Written{begin, now()};
    }

    std::optional<Written> remove(const std::string& name, const policy::Key&) override {
        const std::int64_t begin = now();
        fs::remove(path_ / name);
        return Written{begin, now()};
    }

    bool fill(std::size_t count, const std::function<std::string(std::size_t)>& text) override {
        for (std::size_t i = 0; i < count; ++i) {
            std::ofstream{path_ / fmt::format("cluster{}.yaml", i)} << text(i);
        }
        return true;
    }

    std::unique_ptr<policy::Datastore> store(
        boost::asio::io_context& loop, policy::Listener listener) override {
        return std::make_unique<policy::FileStore>(loop.get_executor(), path_, std::move(listener));
    }

    bool start(policy::Datastore& store) override {
        return static_cast<policy::FileStore&>(store).start().has_value();
    }

  private:
    fs::path path_;
};

/// An etcd, written to by a store of its own.
class Cluster final : public Source {
  public:
    explicit Cluster(const fs::path& data)
        : server_(loop_, data),
          writer_(loop_.get_executor(), server_.config("writer"), [](const auto&) {}) {
        writer_.start();
        run_until([this] { return writer_.is_live(); });
    }

    /// What a client does before it writes is not part of it.
    std::optional<Written> replace(const std::string&, const std::string& text) override {
        const auto parsed = policy::parse_file("object", text);
        const std::string path = writer_.keys().of(parsed->objects.front().key);
        return commit({path, *policy::yaml_to_json(text), writer_.revision_of(path)});
    }

    std::optional<Written> remove(const std::string&, const policy::Key& key) override {
        const std::string path = writer_.keys().of(key);
        return commit({path, std::nullopt, writer_.revision_of(path)});
    }

    bool fill(std::size_t count, const std::function<std::string(std::size_t)>& text) override {
        constexpr std::size_t kAtOnce = 64;
        std::size_t done = 0;
        bool failed = false;
        for (std::size_t i = 0; i < count && !failed; ++i) {
            writer_.put("object", text(i), [&](const auto& written) {
                ++done;
                failed = failed || !written;
            });
            run_until([&] { return done + kAtOnce > i; });
        }
        run_until([&] { return failed || done == count; });
        return done == count && !failed;
    }

    std::unique_ptr<policy::Datastore> store(
        boost::asio::io_context& loop, policy::Listener listener) override {
        return std::make_unique<policy::etcd::Store>(
            loop.get_executor(), server_.config("reader"), std::move(listener));
    }

    bool start(policy::Datastore& store) override {
        static_cast<policy::etcd::Store&>(store).start();
        return server_.is_started();
    }

  private:
    std::optional<Written> commit(policy::etcd::Write write) {
        std::optional<bool> done;
        Written written{now(), 0};
        writer_.write(std::move(write), [&](const Result<void>& result) {
            written.confirmed = now();
            done = result.has_value();
        });
        run_until([&] { return done.has_value(); });
        return done.value_or(false) ? std::optional{written} : std::nullopt;
    }

    template <typename Done>
    void run_until(Done done) {
        const auto limit = Clock::now() + std::chrono::seconds{20};
        while (!done() && Clock::now() < limit) {
            loop_.run_one_for(std::chrono::seconds{1});
        }
    }

    boost::asio::io_context loop_{1};
    EtcdServer server_;
    policy::etcd::Store writer_;
};

}  // namespace vr::perf
