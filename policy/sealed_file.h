// A file that is one whole or nothing: the last good state of a source, kept for starts without it.
//
// What is written ends with a digest of all before, and replaces the file in one step: after a crash it is
// the old one or the new one.  A file that is cut, damaged, or begins otherwise is no state at all:
// better none than a part of one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vrouter/net/result.h"
#include "vrouter/net/wire.h"

namespace vr::policy {

// --- content, pure ---

/// Appends a number in network order, or a text with a 32-bit length before it.
template <std::unsigned_integral T>
void put_number(std::string& to, T value);
void put_text(std::string& to, std::string_view text);

[[nodiscard]] std::string get_text(Reader& reader);

/// Appends the digest to `bytes`, which begin with what tells kind and version of the file.
void seal(std::string& bytes);

/// What is between `magic` and the digest.
[[nodiscard]] Result<Bytes> unseal(std::string_view magic, std::string_view bytes);

// --- files ---

/// The whole file at `path`; nothing when there is none.
[[nodiscard]] Result<std::optional<std::string>> read_whole(const std::string& path);

/// Replaces the file at `path`, which only its owner may read, and makes its directory if need be.
[[nodiscard]] Result<void> write_whole(const std::string& path, std::string_view bytes);

}  // namespace vr::policy
