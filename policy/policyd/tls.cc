// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstddef>
#include <utility>

#include <boost/asio/ssl/context.hpp>

#include "vrouter/net/addr.h"
#include "vrouter/net/log.h"

namespace vr::policyd {

namespace ssl = boost::asio::ssl;

namespace {

std::string text_of(const ASN1_STRING* string) {
    unsigned char* bytes = nullptr;
    const int size = ASN1_STRING_to_UTF8(&bytes, string);
    if (size < 0) {
        return {};
    }
    std::string text(bytes, bytes + size);
    OPENSSL_free(bytes);
    return text;
}

std::string common_name(const X509* certificate) {
    const X509_NAME* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? std::string()
                  : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

}  // namespace

Result<std::shared_ptr<ssl::context>> tls_context(const Credentials& credentials, Side side) {
    const auto method =
        side == Side::Server ? ssl::context::tlsv13_server : ssl::context::tlsv13_client;
    auto context = std::make_shared<ssl::context>(method);
    boost::system::error_code error;
    const auto step = [&](const char* what, const std::string& path) -> Result<void> {
        if (error) {
            return fail(std::string(what) + " " + path + ": " + error.message());
        }
        return {};
    };
    context->load_verify_file(credentials.ca, error);
    if (auto done = step("ca", credentials.ca); !done) {
        return std::unexpected(std::move(done).error());
    }
    context->use_certificate_chain_file(credentials.certificate, error);
    if (auto done = step("certificate", credentials.certificate); !done) {
        return std::unexpected(std::move(done).error());
    }
    context->use_private_key_file(credentials.key, ssl::context::pem, error);
    if (auto done = step("key", credentials.key); !done) {
        return std::unexpected(std::move(done).error());
    }
    if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
        return fail(
            "key " + credentials.key + " is not that of certificate " + credentials.certificate);
    }
    context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
    // Streams are taken up again by their own sequence numbers; tickets would only cost.
    SSL_CTX_set_num_tickets(context->native_handle(), 0);
    // Hundreds of idle connections: OpenSSL's 34 KiB of buffers each are given back between records.
    SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
    return context;
}

Result<void> RenewedContext::read() {
    const Stamps now = stamps();
    auto made = tls_context(credentials_, side_);
    if (!made) {
        return std::unexpected(std::move(made).error());
    }
    context_ = std::move(*made);
    read_ = now;
    return {};
}

const std::shared_ptr<ssl::context>& RenewedContext::current() {
    if (stamps() == read_) {
        error_.clear();
        return context_;
    }
    if (const auto done = read(); done) {
        error_.clear();
        log::info("policyd: certificate {} was read again", credentials_.certificate);
    } else if (error_ != done.error().text) {
        error_ = done.error().text;
        log::error("policyd: {}; the certificate of before stays in use", error_);
    }
    return context_;
}

RenewedContext::Stamp RenewedContext::stamp(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return {};
    }
    return {status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

RenewedContext::Stamps RenewedContext::stamps() const {
    return {stamp(credentials_.ca), stamp(credentials_.certificate), stamp(credentials_.key)};
}

std::vector<std::string> peer_names(const ssl_st* connection) {
    std::vector<std::string> names;
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        SSL_get1_peer_certificate(connection), X509_free);
    if (!certificate) {
        return names;
    }
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> alternatives(
        static_cast<GENERAL_NAMES*>(
            X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives.get(), i);
        if (name->type == GEN_DNS) {
            names.push_back(text_of(name->d.dNSName));
        }
    }
    if (names.empty()) {
        names.push_back(common_name(certificate.get()));
    }
    std::erase(names, "");
    return names;
}

bool expect_peer(ssl_st* connection, const std::string& name) {
    if (parse_ip(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name.c_str()) == 1;
    }
    // What OpenSSL's macro SSL_set_tlsext_host_name does, without its C cast.
    std::string indication = name;
    return SSL_ctrl(
               connection,
               SSL_CTRL_SET_TLSEXT_HOSTNAME,
               TLSEXT_NAMETYPE_host_name,
               indication.data()) == 1 &&
           SSL_set1_host(connection, name.c_str()) == 1;
}

}  // namespace vr::policyd
