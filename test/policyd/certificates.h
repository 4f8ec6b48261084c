// A certificate authority for tests: writes PEM files for the names that a test needs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "policy/policyd/tls.h"

struct x509_st;
struct evp_pkey_st;

namespace vr::policyd {

/// Whom a certificate is for; either may be empty.
struct Names {
    std::string common;
    std::string alternatives;  ///< "DNS:a,IP:127.0.0.1"
};

class Authority {
  public:
    /// Writes its own certificate to `directory`/`name`.pem.
    Authority(std::filesystem::path directory, const std::string& name);

    /// A key and certificate for the DNS name `name` and for 127.0.0.1, in files of that name.
    [[nodiscard]] Credentials issue(const std::string& name) const;
    [[nodiscard]] Credentials issue(const std::string& stem, const Names& names) const;

  private:
    std::filesystem::path directory_;
    std::string path_;
    std::shared_ptr<evp_pkey_st> key_;
    std::shared_ptr<x509_st> certificate_;
};

/// A directory that goes with the object.
class TemporaryDirectory {
  public:
    TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    TemporaryDirectory(TemporaryDirectory&&) = delete;
    TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
    ~TemporaryDirectory();

    std::filesystem::path path;
};

}  // namespace vr::policyd
