// A real etcd for benchmarks: Debian's, on free ports of loopback.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "vrouter/etcd_config.h"

namespace vr::perf {

/// etcd in a directory of its own in `parent`, killed and removed with this.
class EtcdServer {
  public:
    explicit EtcdServer(
        boost::asio::io_context& loop,
        const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
        std::string pattern = (parent / "etcd-XXXXXX").string();
        directory_ = mkdtemp(pattern.data());
        using boost::asio::ip::tcp;
        const auto free_port = [&] {
            return tcp::acceptor(loop, tcp::endpoint(tcp::v4(), 0)).local_endpoint().port();
        };
        port_ = free_port();
        const std::string client = fmt::format("http://127.0.0.1:{}", port_);
        const std::string peer = fmt::format("http://127.0.0.1:{}", free_port());
        const std::vector<std::string> words{
            "etcd",
            "--data-dir",
            directory_ / "data",
            "--log-level",
            "error",
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            "default=" + peer};
        std::vector<char*> arguments;
        for (const std::string& word : words) {
            arguments.push_back(const_cast<char*>(word.c_str()));
        }
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t files{};
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
        posix_spawn_file_actions_adddup2(&files, 1, 2);
        if (posix_spawnp(&pid_, "etcd", &files, nullptr, arguments.data(), environ) != 0) {
            pid_ = 0;
        }
        posix_spawn_file_actions_destroy(&files);
    }

    EtcdServer(const EtcdServer&) = delete;
    EtcdServer& operator=(const EtcdServer&) = delete;
    EtcdServer(EtcdServer&&) = delete;
    EtcdServer& operator=(EtcdServer&&) = delete;

    ~EtcdServer() {
        if (pid_ != 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        std::filesystem::remove_all(directory_);
    }

    [[nodiscard]] bool is_started() const { return pid_ != 0; }

    [[nodiscard]] EtcdConfig config(const std::string& name) const {
        EtcdConfig config;
        config.endpoints = {{false, "127.0.0.1", port_}};
        config.state_file = directory_ / name;
        return config;
    }

  private:
    std::filesystem::path directory_;
    std::uint16_t port_ = 0;
    pid_t pid_ = 0;
};

}  // namespace vr::perf
