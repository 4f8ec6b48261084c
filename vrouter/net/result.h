// Result<T>: the value, or an Error that a person can act on.
//
// Everything that can fail because of the outside world returns Result<T>; errors gain context on
// their way up ("policy web, line 12: unknown protocol tpc").  This is the only file that names
// std::expected.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace vr {

/// What went wrong, in words for the person who must mend it: what, where and what was expected.
struct Error {
    std::string text;

    /// The same error seen from one level up: "where: text".
    [[nodiscard]] Error in(std::string_view where) && {
        return Error{std::string(where) + ": " + std::move(text)};
    }
};

template <typename T>
using Result = std::expected<T, Error>;

/// Returns an error from a function that returns Result<T>: `return fail("no such port");`
[[nodiscard]] inline std::unexpected<Error> fail(std::string text) {
    return std::unexpected<Error>(Error{std::move(text)});
}

/// Passes an error up, adding where it happened: `return fail(std::move(r).error(), "line 12");`
[[nodiscard]] inline std::unexpected<Error> fail(Error error, std::string_view where) {
    return std::unexpected<Error>(std::move(error).in(where));
}

}  // namespace vr
