// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/program.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include "policy/etcd/store.h"
#include "policy/file_store.h"
#include "policy/policyd/cluster.h"
#include "policy/policyd/reporters.h"
#include "policy/policyd/server.h"
#include "policy/policyd/status.h"
#include "vrouter/net/log.h"

namespace vr::policyd {

namespace {

/// How long the calculation, or telling hosts what it found, may hold up the loop.
constexpr std::chrono::milliseconds kSlice{2};

class Program {
  public:
    explicit Program(const PolicydConfig& config) : config_(config) {}

    int run() {
        if (const auto allowed = allow_files(files_needed(config_.server)); !allowed) {
            log::error("{}", allowed.error().text);
            return 1;
        }
        // The control socket first: it is what keeps a second instance from touching anything.
        auto status = StatusSocket::listen(loop_, config_.control_socket, [this] {
            return status_json(
                cluster_,
                store_ ? store_->status() : policy::SourceStatus{},
                store_ ? problems_of(*store_) : std::vector<std::string>{},
                server_.get());
        });
        if (!status) {
            log::error("{}", status.error().text);
            return 1;
        }
        if (const auto started = follow_datastore(); !started) {
            log::error("{}", started.error().text);
            return 1;
        }
        if (!server_) {
            log::info("vrouter-policyd: does not listen before its datastore is known in full");
        }
        boost::asio::signal_set signals{loop_, SIGINT, SIGTERM};
        signals.async_wait([this](const boost::system::error_code& error, int signal) {
            if (!error) {
                log::info("stopping: signal {}", signal);
                loop_.stop();
            }
        });
        loop_.run();
        server_.reset();
        reporters_.reset();
        store_.reset();
        return exit_code_;
    }

  private:
    Result<void> follow_datastore() {
        const auto listener = [this](policy::Batch batch) { on_batch(std::move(batch)); };
        if (config_.etcd) {
            auto etcd = std::make_unique<policy::etcd::Store>(
                loop_.get_executor(), *config_.etcd, listener);
            reporters_ =
                std::make_unique<Reporters>(loop_.get_executor(), *etcd, *config_.etcd, cluster_);
            etcd->start();
            store_ = std::move(etcd);
            return {};
        }
        auto files = std::make_unique<policy::FileStore>(
            loop_.get_executor(),
            config_.resource_directory,
            listener,
            policy::FileStoreOptions{
                .beginning = policy::Beginning::Whole, .state_file = config_.file_state});
        policy::FileStore& store = *files;
        store_ = std::move(files);
        return store.start();
    }

    void on_batch(policy::Batch batch) {
        cluster_.add(std::move(batch));
        if (!posted_) {
            go_on_later();
        }
    }

    void go_on_later() {
        posted_ = true;
        boost::asio::post(loop_, [this] { go_on(); });
    }

    /// In slices: hosts whose server is silent leave it, for one that is as busy.
    void go_on() {
        posted_ = false;
        if (telling_) {
            telling_ = !server_->tell(policy::Slice(kSlice));
        } else if (cluster_.go_on(policy::Slice(kSlice))) {
            if (!server_ && cluster_.is_in_sync()) {
                // Only now: until the datastore is known in full, hosts stay with another replica.
                open();
            }
            telling_ = server_ != nullptr;
        }
        if (telling_ || cluster_.has_waiting()) {
            go_on_later();
        }
    }

    void open() {
        auto listening = Server::listen(loop_, config_.server, cluster_, reporters_.get());
        if (!listening) {
            log::error("{}", listening.error().text);
            exit_code_ = 1;
            loop_.stop();
            return;
        }
        server_ = std::move(*listening);
        log::info(
            "vrouter-policyd: {} objects, {} endpoints, listening on {}",
            cluster_.objects(),
            cluster_.endpoints(),
            config_.server.listen.front());
    }

    const PolicydConfig& config_;
    boost::asio::io_context loop_{1};
    Cluster cluster_;
    bool posted_ = false;   ///< go_on() will run
    bool telling_ = false;  ///< hosts, of the last batch: all of them are asked before the next one
    std::unique_ptr<policy::Datastore> store_;
    std::unique_ptr<Reporters> reporters_;  ///< with etcd
    std::unique_ptr<Server> server_;
    int exit_code_ = 0;
};

}  // namespace

std::size_t files_needed(const ServerSettings& settings) {
    constexpr std::size_t kOthers =
        64;  // standard streams, the datastore, clients of the control socket
    return settings.most_connections + settings.most_callers + settings.listen.size() + kOthers;
}

Result<void> allow_files(std::size_t number) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= number) {
        return {};
    }
    limit.rlim_cur = number;
    limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return {};
    }
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return fail(fmt::format(
        "this config needs {} open files and {} are allowed: raise the limit (LimitNOFILE= of "
        "systemd, ulimit -n), or lower 'connections'",
        number,
        limit.rlim_max));
}

int run(const PolicydConfig& config) {
    return Program(config).run();
}

}  // namespace vr::policyd
