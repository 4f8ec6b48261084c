// Builder: the thread that compiles classifiers, so that a long build never delays a BGP keepalive.
//
// What it compiles is in force at once; what takes long and only makes it quicker is trie_builder.h's.
// Programs are compiled once however many endpoints share them; results come back to the control
// thread in the order of the requests, those of programs that are only counted after all others.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "vrouter/dataplane/engine_choice.h"
#include "vrouter/trie_builder.h"

namespace vr {

/// One program, executable for both families.
struct Compiled {
    std::shared_ptr<const acl::Classifier<V4>> v4;
    std::shared_ptr<const acl::Classifier<V6>> v6;
};

enum class Purpose : std::uint8_t { Enforced, Staged };

class Builder {
  public:
    using Done = std::function<void(std::shared_ptr<const Compiled>)>;

    /// `post` runs a function on the control thread, later; called there and on the builder's thread.
    /// Classifiers count hits for `workers` workers.
    explicit Builder(
        std::function<void(std::function<void()>)> post,
        acl::EngineChoice engine = acl::EngineChoice::Auto,
        unsigned workers = 0);
    Builder(const Builder&) = delete;
    Builder& operator=(const Builder&) = delete;
    Builder(Builder&&) = delete;
    Builder& operator=(Builder&&) = delete;
    ~Builder();

    /// Compiles `program` unless what came of it is still in use; `done` is called on the control thread, never
    /// from within this call.
    void compile(
        std::shared_ptr<const acl::Program> program,
        Done done,
        Purpose purpose = Purpose::Enforced);

    /// Requests whose `done` was not called yet.
    [[nodiscard]] std::size_t pending() const { return pending_; }

    /// How long the answers to them may take: the rules, nets and port ranges of their programs.
    [[nodiscard]] std::size_t backlog() const { return backlog_; }

    /// How many compilations were really run.
    [[nodiscard]] std::size_t built() const { return built_; }

    /// Who wait for the same are told so many at a time: what they do then must not hold up all else.
    static constexpr std::size_t kTogether = 64;

  private:
    /// Those who ask for a program one after the other are answered together.
    struct Job {
        std::shared_ptr<const acl::Program> program;
        std::vector<Done> done;
        std::size_t values = 0;
    };

    struct Answer {
        std::vector<Done> done;
        std::size_t values = 0;
        std::shared_ptr<const Compiled> compiled;
        bool built = false;
        std::size_t told = 0;  ///< how many of `done`
    };

    void run(const std::stop_token& stop);
    [[nodiscard]] std::size_t values_of(const std::shared_ptr<const acl::Program>& program);
    [[nodiscard]] bool has_jobs() const;
    [[nodiscard]] Job take_job();
    [[nodiscard]] std::shared_ptr<const Compiled> build(
        const std::shared_ptr<const acl::Program>& program);
    void deliver();

    std::function<void(std::function<void()>)> post_;
    acl::EngineChoice engine_;
    unsigned workers_;
    TrieBuilder tries_;
    // Control thread only.
    std::size_t pending_ = 0;
    std::size_t backlog_ = 0;
    std::size_t built_ = 0;
    std::weak_ptr<const acl::Program> sized_;  ///< the last program asked for
    std::size_t size_ = 0;                     ///< its values
    // Both threads.
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::array<std::deque<Job>, 2> jobs_;  ///< by Purpose
    std::deque<Answer>
        answers_;  ///< here, so that none outlives the EAL in a task that is never run
    std::jthread thread_;
};

}  // namespace vr
