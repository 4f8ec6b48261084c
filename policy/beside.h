// Beside: a thread that reads what is large, so that the loop goes on meanwhile; one thing after the other.
//
// The answer comes in another turn of the loop, or never, when it is not wanted any more.  What else happens
// until then is the owner's to hold back: the order of changes is its business.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace vr::policy {

/// A text of so many bytes is read beside the loop: half a millisecond of work as YAML; handing it over takes 0.1 ms.
inline constexpr std::size_t kLargeText = 16U << 10U;

/// On one loop.  May go at any time; its owner's last member, so that what runs on the thread is done before
/// all else goes.
class Beside {
  public:
    explicit Beside(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}

    /// Runs `read` on the thread, then `take` with what it returned on the loop, unless cancel() came first.
    /// Not while an answer is awaited.
    template <typename Read, typename Take>
    void read(Read read, Take take) {
        awaited_ = std::make_shared<const bool>(true);
        auto told = [this, awaited = std::weak_ptr(awaited_), take = std::move(take)](auto answer) {
            if (!awaited.expired()) {
                awaited_.reset();
                take(std::move(answer));
            }
        };
        boost::asio::post(
            thread_, [loop = loop_, read = std::move(read), told = std::move(told)]() mutable {
                boost::asio::post(loop, [told = std::move(told), answer = read()]() mutable {
                    told(std::move(answer));
                });
            });
    }

    [[nodiscard]] bool is_awaited() const { return awaited_ != nullptr; }

    /// Whatever is awaited is not wanted any more.
    void cancel() { awaited_.reset(); }

  private:
    boost::asio::any_io_executor loop_;
    std::shared_ptr<const bool> awaited_;  ///< held weakly by what is on its way
    boost::asio::thread_pool thread_{1};
};

}  // namespace vr::policy
