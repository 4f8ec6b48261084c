// TLS between hosts and vrouter-policyd: version 1.3, certificates on both sides, from one authority.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
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

/// Who the other end is by its certificate: its DNS names, or its common name if it has none of these.
/// None is empty.
[[nodiscard]] std::vector<std::string> peer_names(const ssl_st* connection);

/// Makes the handshake fail unless the other end's certificate is for `name`, an address or DNS name.
[[nodiscard]] bool expect_peer(ssl_st* connection, const std::string& name);

}  // namespace vr::policyd
