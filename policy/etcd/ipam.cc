// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/ipam.h"

#include <chrono>
#include <condition_variable>
#include <expected>
#include <mutex>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "policy/etcd/ipam_keys.h"
#include "policy/etcd/messages.h"
#include "policy/ipam/record.h"

namespace vr::policy::etcd {

namespace {

/// A session gives an endpoint up long before.
constexpr std::chrono::seconds kPatience{30};
/// Between two looks at what may be in the middle of being written.
constexpr std::chrono::seconds kPause{1};
/// Records that are read at once: what the control thread does for them takes no millisecond.
constexpr std::int64_t kBlocksAtOnce = 200;

using Body = std::expected<std::string, Session::Failure>;

/// One question, and its answer once it has come.
struct Exchange {
    std::mutex mutex;
    std::condition_variable_any answered;
    std::optional<Body> answer;

    void set(Body body) {
        const std::lock_guard lock(mutex);
        answer = std::move(body);
        answered.notify_one();
    }
};

/// etcd as IPAM sees it; used on the thread of IPAM alone.
class EtcdRecords final : public ipam::Records {
  public:
    using Send = std::function<void(std::string_view path, std::string, std::shared_ptr<Exchange>)>;

    EtcdRecords(IpamKeys keys, std::stop_token stop, Send send)
        : keys_(std::move(keys)), stop_(std::move(stop)), send_(std::move(send)) {}

    Result<std::optional<ipam::Record>> get(const ipam::RecordId& id) override {
        auto reply = read({keys_.of(id), {}, 0, 1});
        if (!reply) {
            return std::unexpected(std::move(reply).error());
        }
        if (reply->items.empty()) {
            return std::nullopt;
        }
        KeyValue& item = reply->items.front();
        return ipam::Record{id, std::move(item.value), item.mod_revision};
    }

    Result<std::vector<ipam::Record>> list(
        std::span<const ipam::Range> ranges, ipam::Detail detail) override {
        std::vector<ipam::Record> all;
        std::int64_t revision = 0;
        for (const ipam::Range& range : ranges) {
            auto [from, end] = keys_.range(range);
            RangeRequest request{std::move(from), std::move(end), revision, kBlocksAtOnce};
            request.keys_only = detail == ipam::Detail::Names;
            for (bool more = true; more;) {
                auto reply = read(request);
                if (!reply) {
                    return std::unexpected(std::move(reply).error());
                }
                request.revision = revision = revision == 0 ? reply->header.revision : revision;
                more = reply->more && !reply->items.empty();
                for (KeyValue& item : reply->items) {
                    request.key = item.key + '\0';
                    all.push_back(
                        {keys_.record(item.key), std::move(item.value), item.mod_revision});
                }
            }
        }
        return all;
    }

    Result<std::optional<std::int64_t>> commit(
        const std::vector<ipam::RecordWrite>& writes) override {
        std::vector<Write> transaction;
        for (const ipam::RecordWrite& write : writes) {
            transaction.push_back({keys_.of(write.id), write.value, write.expected_revision});
        }
        const auto body = ask(kTransactionPath, encode_transaction(transaction));
        if (!body) {
            return fail(text_of(body.error()));
        }
        const auto reply = decode_transaction(*body);
        if (!reply) {
            return std::unexpected(reply.error());
        }
        return reply->succeeded ? std::optional(reply->header.revision) : std::nullopt;
    }

  private:
    static std::string text_of(const Session::Failure& failure) {
        return "etcd: " + (failure.too_large ? "an answer is too large" : failure.refusal.text);
    }

    /// Pages that are too large are read again as smaller ones.
    Result<RangeReply> read(RangeRequest& request) {
        auto body = ask(kRangePath, encode(request));
        while (!body && body.error().too_large && request.limit > 1) {
            request.limit /= 2;
            body = ask(kRangePath, encode(request));
        }
        return body ? decode_range(*body) : fail(text_of(body.error()));
    }

    Result<RangeReply> read(RangeRequest&& request) { return read(request); }

    Body ask(std::string_view path, std::string body) {
        const auto exchange = std::make_shared<Exchange>();
        send_(path, std::move(body), exchange);
        std::unique_lock lock(exchange->mutex);
        exchange->answered.wait_for(
            lock, stop_, kPatience, [&] { return exchange->answer.has_value(); });
        if (!exchange->answer) {
            const auto* why = stop_.stop_requested() ? "the router is stopping" : "no answer";
            return std::unexpected(Session::Failure{false, true, {0, why}});
        }
        return *std::move(exchange->answer);
    }

    IpamKeys keys_;
    std::stop_token stop_;
    Send send_;
};

/// False: it is time to end.
bool pause(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, kPause, [] { return false; });
    return !stop.stop_requested();
}

}  // namespace

Ipam::Ipam(boost::asio::any_io_executor executor, Store& store, std::string root)
    : executor_(std::move(executor)),
      store_(store),
      root_(std::move(root)),
      thread_(std::make_unique<boost::asio::thread_pool>(1)) {}

Ipam::~Ipam() {
    alive_.reset();
    stop_.request_stop();
    thread_->stop();
    thread_->join();
}

void Ipam::run(ipam::Work work) {
    const std::weak_ptr<const bool> alive = alive_;
    const auto send = [this, alive, executor = executor_](
                          std::string_view path,
                          std::string body,
                          std::shared_ptr<Exchange> exchange) {
        boost::asio::post(
            executor,
            [this, alive, path, body = std::move(body), exchange = std::move(exchange)]() mutable {
                if (alive.expired()) {
                    return;
                }
                if (!store_.is_live()) {
                    exchange->set(
                        std::unexpected(Session::Failure{false, true, {0, store_.why_not_live()}}));
                    return;
                }
                store_.call(path, std::move(body), [exchange](Body answer) {
                    exchange->set(std::move(answer));
                });
            });
    };
    auto shared = std::make_shared<ipam::Work>(std::move(work));
    boost::asio::post(
        *thread_,
        [shared, send, alive, executor = executor_, root = root_, stop = stop_.get_token()] {
            EtcdRecords records(IpamKeys(root), stop, send);
            auto then =
                std::make_shared<ipam::Then>((*shared)(records, [&stop] { return pause(stop); }));
            boost::asio::post(executor, [then, alive] {
                if (!alive.expired()) {
                    (*then)();
                }
            });
        });
}

}  // namespace vr::policy::etcd
