// SPDX-License-Identifier: Apache-2.0
#include "test/policyd/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace vr::policyd {

namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

constexpr long kDay = 86400;

void must(bool done) {
    if (!done) {
        std::abort();
    }
}

Key make_key() {
    return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

void extend(X509* certificate, int what, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/// For `names`; signed with `by`, the key of `issuer`, which is the certificate itself if null.
Certificate make_certificate(const Names& names, EVP_PKEY* key, X509* issuer, EVP_PKEY* by) {
    static long serial = 0;
    Certificate made(X509_new(), X509_free);
    must(X509_set_version(made.get(), X509_VERSION_3) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -kDay);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), kDay);
    X509_set_pubkey(made.get(), key);
    must(
        names.common.empty() || X509_NAME_add_entry_by_txt(
                                    X509_get_subject_name(made.get()),
                                    "CN",
                                    MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(names.common.c_str()),
                                    -1,
                                    -1,
                                    0) == 1);
    X509_set_issuer_name(
        made.get(), X509_get_subject_name(issuer == nullptr ? made.get() : issuer));
    if (issuer == nullptr) {
        extend(made.get(), NID_basic_constraints, "critical,CA:TRUE");
    } else if (!names.alternatives.empty()) {
        extend(made.get(), NID_subject_alt_name, names.alternatives);
    }
    must(X509_sign(made.get(), by, EVP_sha256()) > 0);
    return made;
}

void write(const std::string& path, const auto& put) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    must(file != nullptr && put(file) == 1 && std::fclose(file) == 0);
}

void write_certificate(const std::string& path, X509* certificate) {
    write(path, [&](std::FILE* file) { return PEM_write_X509(file, certificate); });
}

}  // namespace

Authority::Authority(std::filesystem::path directory, const std::string& name)
    : directory_(std::move(directory)),
      path_(directory_ / (name + ".pem")),
      key_(make_key()),
      certificate_(make_certificate({name, {}}, key_.get(), nullptr, key_.get())) {
    write_certificate(path_, certificate_.get());
}

Credentials Authority::issue(const std::string& name) const {
    return issue(name, {name, "DNS:" + name + ",IP:127.0.0.1"});
}

Credentials Authority::issue(const std::string& stem, const Names& names) const {
    const Key key = make_key();
    const Certificate certificate =
        make_certificate(names, key.get(), certificate_.get(), key_.get());
    Credentials files{path_, directory_ / (stem + ".pem"), directory_ / (stem + ".key")};
    write_certificate(files.certificate, certificate.get());
    write(files.key, [&](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
}

TemporaryDirectory::TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "vrouter-XXXXXX";
    must(mkdtemp(name.data()) != nullptr);
    path = name;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
}

}  // namespace vr::policyd
