// The etcd v3 API as its HTTP/JSON gateway speaks it: requests to text, answers to values.  Pure.
//
// Keys and values travel in base64, 64-bit numbers as strings, zero fields not at all.  Decoders take
// whatever comes: an answer is either well-formed in every field that we use, or an error.
// DATASTORE 3.3.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vrouter/net/result.h"

namespace vr::policy::etcd {

/// A key with its value, or that it is gone.
struct KeyValue {
    std::string key;
    std::string value;
    std::int64_t mod_revision = 0;
    std::int64_t create_revision = 0;

    friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

/// Which etcd answered, and how far it is.
struct Header {
    std::uint64_t cluster = 0;
    std::int64_t revision = 0;

    friend bool operator==(const Header&, const Header&) = default;
};

/// The key after all keys that begin with `prefix`; "\0" (all keys) for a prefix without one.
[[nodiscard]] std::string prefix_end(std::string_view prefix);

// --- range ----------------------------------------------------------------------------------

struct RangeRequest {
    std::string key;
    std::string end;            ///< empty: `key` alone
    std::int64_t revision = 0;  ///< 0: the latest
    std::int64_t limit = 0;     ///< 0: none
    bool keys_only = false;     ///< values are left out

    friend bool operator==(const RangeRequest&, const RangeRequest&) = default;
};

struct RangeReply {
    Header header;
    std::vector<KeyValue> items;
    bool more = false;
};

inline constexpr std::string_view kRangePath = "/v3/kv/range";
[[nodiscard]] std::string encode(const RangeRequest& request);
[[nodiscard]] Result<RangeReply> decode_range(std::string_view body);

// --- txn ------------------------------------------------------------------------------------

/// A write that happens only if nobody else wrote `key` since we saw it.
struct Write {
    std::string key;
    std::optional<std::string> value;    ///< absent: delete
    std::int64_t expected_revision = 0;  ///< its mod_revision as seen; 0: it must not exist
};

/// All or none of `writes`.
[[nodiscard]] std::string encode_transaction(const std::vector<Write>& writes);

struct TransactionReply {
    Header header;
    bool succeeded = false;
};

inline constexpr std::string_view kTransactionPath = "/v3/kv/txn";
[[nodiscard]] Result<TransactionReply> decode_transaction(std::string_view body);

// --- put, delete, lease, auth ---------------------------------------------------------------

inline constexpr std::string_view kPutPath = "/v3/kv/put";
[[nodiscard]] std::string encode_put(
    std::string_view key, std::string_view value, std::int64_t lease);

inline constexpr std::string_view kDeletePath = "/v3/kv/deleterange";
[[nodiscard]] std::string encode_delete(std::string_view key);

inline constexpr std::string_view kGrantPath = "/v3/lease/grant";
[[nodiscard]] std::string encode_grant(std::int64_t seconds);
/// The lease's id.
[[nodiscard]] Result<std::int64_t> decode_grant(std::string_view body);

inline constexpr std::string_view kKeepAlivePath = "/v3/lease/keepalive";
[[nodiscard]] std::string encode_keep_alive(std::int64_t lease);
/// The seconds that the lease has left; 0 when it is gone.
[[nodiscard]] Result<std::int64_t> decode_keep_alive(std::string_view body);

inline constexpr std::string_view kAuthenticatePath = "/v3/auth/authenticate";
[[nodiscard]] std::string encode_authenticate(std::string_view name, std::string_view password);
/// The token.
[[nodiscard]] Result<std::string> decode_authenticate(std::string_view body);

// --- watch ----------------------------------------------------------------------------------

struct WatchRequest {
    std::string key;
    std::string end;
    std::int64_t start_revision = 0;

    friend bool operator==(const WatchRequest&, const WatchRequest&) = default;
};

struct WatchEvent {
    bool deleted = false;
    KeyValue item;

    friend bool operator==(const WatchEvent&, const WatchEvent&) = default;
};

struct WatchReply {
    Header header;
    bool created = false;
    bool canceled = false;
    std::int64_t compact_revision = 0;
    std::string cancel_reason;
    std::vector<WatchEvent> events;
};

inline constexpr std::string_view kWatchPath = "/v3/watch";
[[nodiscard]] std::string encode(const WatchRequest& request);
/// One line of the stream.
[[nodiscard]] Result<WatchReply> decode_watch(std::string_view line);

// --- errors ---------------------------------------------------------------------------------

/// A refusal by etcd, gRPC's codes.
struct Refusal {
    static constexpr int kInvalidArgument = 3;
    static constexpr int kOutOfRange = 11;  ///< compacted, or not there yet
    static constexpr int kUnauthenticated = 16;

    int code = 0;
    std::string text;
};

/// What an answer with a status other than 200 says.
[[nodiscard]] Refusal decode_refusal(unsigned status, std::string_view body);

}  // namespace vr::policy::etcd
