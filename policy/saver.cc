// SPDX-License-Identifier: Apache-2.0
#include "policy/saver.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "policy/sealed_file.h"
#include "vrouter/net/log.h"

namespace vr::policy {

namespace {

using std::chrono::steady_clock;

/// The least pause between two saves, and the share of the time that saving may take.
constexpr std::chrono::milliseconds kPause{5000};
constexpr std::chrono::milliseconds kFirst{500};
constexpr int kShare = 100;

}  // namespace

Saver::Saver(
    boost::asio::any_io_executor executor, std::string path, std::string who, Picture picture)
    : executor_(executor),
      path_(std::move(path)),
      who_(std::move(who)),
      picture_(std::move(picture)),
      timer_(executor),
      thread_(std::make_unique<boost::asio::thread_pool>(1)),
      pause_(kFirst) {}

Saver::~Saver() {
    stop();
}

void Saver::changed() {
    changed_ = true;
    save_later();
}

void Saver::stop() {
    if (!running_) {
        return;
    }
    running_.reset();
    timer_.cancel();
    thread_->join();
    if (const Encode encode = changed_ ? picture_() : nullptr) {
        if (const auto saved = write_whole(path_, encode()); !saved) {
            log::error("{}: last good state: {}", who_, saved.error().text);
        }
    }
}

void Saver::save_later() {
    if (saving_ || !running_) {
        return;
    }
    saving_ = true;
    timer_.expires_after(pause_);
    timer_.async_wait([this, alive = std::weak_ptr(running_)](boost::system::error_code error) {
        if (!error && !alive.expired()) {
            save();
        }
    });
}

void Saver::save() {
    Encode encode = picture_();
    if (!encode) {
        saving_ = false;
        save_later();
        return;
    }
    changed_ = false;
    const auto started = steady_clock::now();
    boost::asio::post(
        *thread_,
        [this,
         executor = executor_,
         path = path_,
         encode = std::move(encode),
         started,
         alive = std::weak_ptr(running_)] {
            auto result = write_whole(path, encode());
            boost::asio::post(executor, [this, result = std::move(result), started, alive] {
                if (!alive.expired()) {
                    saved(result, started);
                }
            });
        });
}

void Saver::saved(const Result<void>& result, steady_clock::time_point started) {
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - started);
    pause_ = std::max(kPause, took * kShare);
    saving_ = false;
    std::string error = result ? std::string() : result.error().text;
    if (!error.empty() && error != error_) {
        log::error("{}: last good state: {}", who_, error);
    }
    changed_ = changed_ || !error.empty();
    error_ = std::move(error);
    if (changed_) {
        save_later();
    }
}

}  // namespace vr::policy
