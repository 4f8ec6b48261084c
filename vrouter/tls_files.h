// What is wrong with the PEM files of a TLS end, said before they are used.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace vr {

/// Paths; each may be empty: there is none.
struct TlsFiles {
    std::string ca;
    std::string certificate;  ///< the first in it is our own
    std::string key;          ///< of `certificate`
    std::string name;         ///< whom `certificate` must be for; empty: anybody
};

/// One sentence for each file that cannot be read or understood, for a certificate that is not valid now or
/// is somebody else's, and for a key of another certificate.
[[nodiscard]] std::vector<std::string> tls_file_problems(const TlsFiles& files);

}  // namespace vr
