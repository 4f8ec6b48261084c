// TLS between hosts and vrouter-policyd: version 1.3, certificates on both sides, from one authority.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vrouter/net/result.h"

struct ssl_st;  // OpenSSL's SSL

namespace boost::asio::ssl {
class context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr::policyd {

/// Paths of PEM files.
struct Credentials {
    std::string ca;
    std::string certificate;  ///< with what the other end needs to get to `ca`
    std::string key;
};

enum class Side : std::uint8_t { Server, Host };

/// Reads the files; the other end must show a certificate of `ca`.
[[nodiscard]] Result<std::shared_ptr<boost::asio::ssl::context>> tls_context(
    const Credentials& credentials, Side side);

/// The context of files that are replaced from time to time: certificates end.  Shell.
class RenewedContext {
  public:
    RenewedContext(Credentials credentials, Side side)
        : credentials_(std::move(credentials)), side_(side) {}

    /// Reads the files, at the start.
    [[nodiscard]] Result<void> read();

    /// For the next connection: reads the files again if they changed.  What cannot be used is logged,
    /// and the context of before stays.
    [[nodiscard]] const std::shared_ptr<boost::asio::ssl::context>& current();

    /// Why the files are not used as they are now; empty: they are.
    [[nodiscard]] const std::string& error() const { return error_; }

  private:
    /// Differs when the file was written or replaced.
    struct Stamp {
        std::uint64_t inode = 0;
        std::int64_t size = 0;
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;

        friend bool operator==(const Stamp&, const Stamp&) = default;
    };

    using Stamps = std::array<Stamp, 3>;
    [[nodiscard]] static Stamp stamp(const std::string& path);
    [[nodiscard]] Stamps stamps() const;

    Credentials credentials_;
    Side side_;
    std::shared_ptr<boost::asio::ssl::context> context_;
    Stamps read_{};  ///< of the files that context_ was made from
    std::string error_;
};

/// Who the other end is by its certificate: its DNS names, or its common name if it has none of these.
/// None is empty.
[[nodiscard]] std::vector<std::string> peer_names(const ssl_st* connection);

/// Makes the handshake fail unless the other end's certificate is for `name`, an address or DNS name.
[[nodiscard]] bool expect_peer(ssl_st* connection, const std::string& name);

}  // namespace vr::policyd
