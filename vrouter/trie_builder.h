// TrieBuilder: the thread that lets rte_acl follow the bit vectors, which are in force by then.
//
// Nothing waits for it: no endpoint, no group member, no other program.  It yields to the other threads
// and is bounded by what trie_classifier.cc takes on; a program that was replaced meanwhile is passed
// over, and what rte_acl could not build is not tried again at that size.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <variant>

#include "vrouter/dataplane/engine_choice.h"

namespace vr {

class TrieBuilder {
  public:
    TrieBuilder();
    TrieBuilder(const TrieBuilder&) = delete;
    TrieBuilder& operator=(const TrieBuilder&) = delete;
    TrieBuilder(TrieBuilder&&) = delete;
    TrieBuilder& operator=(TrieBuilder&&) = delete;

    /// Waits for the program that is being built.
    ~TrieBuilder();

    /// Any thread; nothing is done for what nobody keeps any more when its turn comes.
    template <Family F>
    void add(std::weak_ptr<acl::Relay<F>> wanting);

  private:
    using Job = std::variant<std::weak_ptr<acl::Relay<V4>>, std::weak_ptr<acl::Relay<V6>>>;

    void run(const std::stop_token& stop);

    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::deque<Job> jobs_;
    std::jthread thread_;
};

}  // namespace vr
