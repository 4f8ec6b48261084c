// SPDX-License-Identifier: Apache-2.0
#include "vrouter/tls_files.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

namespace vr {

namespace {

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};

using BioPtr = std::unique_ptr<BIO, Freed<BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

/// A key behind a passphrase is none that a daemon can use: nobody is asked.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) {
    return 0;
}

BioPtr open(const char* what, const std::string& path, std::vector<std::string>& problems) {
    errno = 0;
    BioPtr file{BIO_new_file(path.c_str(), "r")};
    if (!file) {
        problems.push_back(fmt::format(
            "{}: cannot read '{}': {}", what, path, std::generic_category().message(errno)));
        ERR_clear_error();
    }
    return file;
}

std::string text_of(const ASN1_TIME* time) {
    const BioPtr memory{BIO_new(BIO_s_mem())};
    std::string text(64, '\0');
    ASN1_TIME_print(memory.get(), time);
    const int size = BIO_read(memory.get(), text.data(), static_cast<int>(text.size()));
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
}

void check_time(
    const char* what, const std::string& path, const X509* x, std::vector<std::string>& problems) {
    if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0) {
        problems.push_back(
            fmt::format("{}: '{}' expired {}", what, path, text_of(X509_get0_notAfter(x))));
    } else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0) {
        problems.push_back(fmt::format(
            "{}: '{}' is not valid before {}", what, path, text_of(X509_get0_notBefore(x))));
    }
}

/// Of all certificates in the file, which must be one at least, the first.
CertificatePtr read_certificates(
    const char* what, const std::string& path, std::vector<std::string>& problems) {
    const BioPtr file = open(what, path, problems);
    CertificatePtr first;
    if (!file) {
        return first;
    }
    while (CertificatePtr next{PEM_read_bio_X509(file.get(), nullptr, no_passphrase, nullptr)}) {
        check_time(what, path, next.get(), problems);
        if (!first) {
            first = std::move(next);
        }
    }
    if (const auto error = ERR_peek_last_error();
        !first || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
        problems.push_back(fmt::format(
            "{}: '{}' {}", what, path, first ? "is damaged" : "holds no PEM certificate"));
    }
    ERR_clear_error();
    return first;
}

KeyPtr read_key(const std::string& path, std::vector<std::string>& problems) {
    const BioPtr file = open("key", path, problems);
    if (!file) {
        return {};
    }
    KeyPtr key{PEM_read_bio_PrivateKey(file.get(), nullptr, no_passphrase, nullptr)};
    if (!key) {
        problems.push_back(
            fmt::format("key: '{}' holds no PEM private key without passphrase", path));
    }
    ERR_clear_error();
    return key;
}

}  // namespace

std::vector<std::string> tls_file_problems(const TlsFiles& files) {
    std::vector<std::string> problems;
    if (!files.ca.empty()) {
        (void)read_certificates("ca", files.ca, problems);
    }
    CertificatePtr certificate;
    KeyPtr key;
    if (!files.certificate.empty()) {
        certificate = read_certificates("certificate", files.certificate, problems);
    }
    if (certificate && !files.name.empty() &&
        X509_check_host(
            certificate.get(),
            files.name.data(),
            files.name.size(),
            X509_CHECK_FLAG_NO_WILDCARDS,
            nullptr) != 1) {
        problems.push_back(
            fmt::format("certificate: '{}' is not one for '{}'", files.certificate, files.name));
    }
    if (!files.key.empty()) {
        key = read_key(files.key, problems);
    }
    if (certificate && key && X509_check_private_key(certificate.get(), key.get()) != 1) {
        problems.push_back(
            fmt::format("key: '{}' is not that of certificate '{}'", files.key, files.certificate));
        ERR_clear_error();
    }
    return problems;
}

}  // namespace vr
